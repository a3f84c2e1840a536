import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gnnrl.errors import ConfigError, DataError
from gnnrl.zoo.batches import batched
from gnnrl.zoo.data import DataSplits
from gnnrl.zoo.named_data import is_named, named_data

FACTORIES = """
import torch
from torch.utils.data import TensorDataset


def numbered(count, first=0):
    return TensorDataset(torch.arange(first, first + count).float()[:, None], torch.arange(count) % 3)


def two():
    return numbered(40), numbered(8, 100)


def three():
    return numbered(40), numbered(6, 50), numbered(8, 100)


def broken():
    raise RuntimeError("no disk")


def alone():
    return numbered(40)


def tiny():
    return numbered(5), numbered(5)


def unlabelled():
    return TensorDataset(torch.zeros(40, 1)), TensorDataset(torch.zeros(8, 1))
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(FACTORIES)


def load(source: str, mean: tuple[float, ...] = (0.0,), size: tuple[int, int] = (4, 4)) -> DataSplits:
    return named_data(source, image_size=size, mean=mean, std=(1.0,) * len(mean))


def values(split: Any) -> set[int]:
    return {int(sample[0][0]) for sample in split}


def test_a_factory_without_a_reward_split_gives_a_tenth_of_its_training_data() -> None:
    data = load("mine.py:two")

    assert (len(data.train), len(data.reward)) == (36, 4)
    assert values(data.train) | values(data.reward) == set(range(40))
    assert not values(data.train) & values(data.reward)
    assert values(data.test) == set(range(100, 108))
    assert values(data.reward) == values(load("mine.py:two").reward)


def test_a_factory_may_cut_the_data_itself() -> None:
    data = load("mine.py:three")

    assert values(data.train) == set(range(40))
    assert values(data.reward) == set(range(50, 56))
    assert data.classes == ("0", "1", "2")
    inputs, labels = next(iter(batched(data.test, 5)))
    assert (inputs.shape, labels.tolist()) == ((5, 1), [0, 1, 2, 0, 1])


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("broken", ConfigError, r"broken\(\) failed with RuntimeError: no disk"),
        ("tow", ConfigError, "did you mean two?"),
        ("alone", DataError, "must return two or three datasets"),
        ("tiny", DataError, r"too few training samples \(5\)"),
        ("unlabelled", DataError, "a sample must be"),
    ],
)
def test_a_factory_that_is_wrong_is_refused(name: str, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        load(f"mine.py:{name}")


class Fake:
    """A dataset as torchvision makes them: images [n, H, W, C] as they are stored, and labels."""

    classes = ("cat", "dog")

    def __init__(self, root: str, train: bool, download: bool) -> None:
        count = 20 if train else 5
        self.data = np.full((count, 8, 8, 3), (10, 20, 30), np.uint8)
        self.targets = [index % 2 for index in range(count)]


@pytest.fixture
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(root: str, train: bool, download: bool) -> None:
        raise RuntimeError("no network")

    monkeypatch.setitem(
        sys.modules, "torchvision", SimpleNamespace(datasets=SimpleNamespace(CIFAR10=Fake, CIFAR100=gone))
    )


@pytest.mark.usefixtures("_torchvision")
@pytest.mark.parametrize(("channels", "expected"), [(3, [10, 20, 30]), (1, [18])])
def test_a_dataset_of_torchvision_is_scaled_and_coloured_as_the_network_takes_it(
    channels: int, expected: list[int]
) -> None:
    data = load("torchvision:CIFAR10", (0.0,) * channels)
    image, label = data.train[0]

    assert (len(data.train), len(data.reward), len(data.test)) == (18, 2, 5)
    assert image.shape == (channels, 4, 4)
    assert (255 * image[:, 0, 0]).round().int().tolist() == expected
    assert label in (0, 1)
    assert data.classes == ("cat", "dog")


@pytest.mark.usefixtures("_torchvision")
def test_data_that_cannot_be_fetched_say_where_they_belong() -> None:
    with pytest.raises(DataError, match=r"cannot be downloaded \(no network\); put it into .*datasets yourself"):
        load("torchvision:CIFAR100")
    with pytest.raises(ConfigError, match="there are CIFAR10, CIFAR100"):
        load("torchvision:ImageNet")


def test_paths_are_no_names() -> None:
    Path("a:b").mkdir()

    assert [is_named(source) for source in ("mine.py:two", "torchvision:MNIST", "a:b", "folder", "digits")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_grey_images_are_repeated_for_networks_of_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    class Grey(Fake):
        def __init__(self, root: str, train: bool, download: bool) -> None:
            super().__init__(root, train, download)
            self.data = torch.full((len(self.targets), 4, 4), 51, dtype=torch.uint8)

    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(datasets=SimpleNamespace(MNIST=Grey)))
    image, _ = load("torchvision:MNIST", (0.0, 0.0, 0.0)).test[0]

    assert image[:, 0, 0].tolist() == pytest.approx([0.2] * 3)
