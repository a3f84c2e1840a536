"""Data and networks of the user's own on the command line: any inputs, and one clear sentence where they do not fit."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gnnrl.cli.app import app

OWN = """
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

HERE = Path(__file__).parent
GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.arange(80) % 3
IMAGES = torch.randn(80, 1, 8, 8, generator=GENERATOR) + LABELS[:, None, None, None]


def net():
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 3)]
    return nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 12, 3), nn.ReLU(), *head)


def rows():
    return nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 3))


def nowhere():
    with torch.device("meta"):
        return net()


class Mine(Dataset):
    def __init__(self, change):
        self.change = change

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        return self.change(IMAGES[index], index), int(LABELS[index])


def both(change):
    return Mine(change), Mine(change)


def broken(image, index):
    if index == 7:
        raise OSError("broken jpeg")
    return image


def of_bytes(): return both(lambda image, index: image.byte())
def of_doubles(): return both(lambda image, index: image.double())
def of_colours(): return both(lambda image, index: image.expand(3, -1, -1))
def of_sizes(): return both(lambda image, index: image[:, : 8 - index % 2])
def of_files(): return both(broken)
def of_rows(): return both(lambda image, index: image.flatten())
def of_images(): return both(lambda image, index: image)
def of_loaders(): return DataLoader(Mine(broken)), DataLoader(Mine(broken))
def of_unlabelled(): return TensorDataset(IMAGES, LABELS - 1), TensorDataset(IMAGES, LABELS - 1)
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)


SEARCH = ("--searcher", "curves", "--finetune-epochs", "1")


def prune(data: str, *arguments: str, network: str = "net", shape: str = "1,1,8,8") -> Result:
    fixed = ("--model", f"own.py:{network}", "--data", f"own.py:{data}", "--input-shape", shape, "--untrained")
    return CliRunner().invoke(app, ["prune", *fixed, *SEARCH, "--out", "small", *arguments])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("of_bytes", ["reward samples of own.py:of_bytes", "uint8 of shape [1, 8, 8]"]),
        ("of_doubles", ["float64 of shape [1, 8, 8]"]),
        ("of_colours", ["float32 of shape [3, 8, 8]", "expected input"]),
        ("of_sizes", ["inputs of the shapes [1, 7, 8], [1, 8, 8]"]),
        ("of_files", ["Mine fails on sample 7 with OSError: broken jpeg"]),
        ("of_unlabelled", ["labels run from -1 to 1"]),
        ("of_loaders", ["DataLoader", "return their datasets"]),
    ],
)
def test_data_that_do_not_fit_are_refused_in_one_sentence(data: str, said: list[str]) -> None:
    result = prune(data)

    assert result.exit_code == 5, result.output
    assert all(part in " ".join(result.stderr.split()) for part in said), result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("small").exists()


def test_a_network_of_rows_is_pruned_and_trained() -> None:
    result = prune("of_rows", network="rows", shape="1,64")

    assert result.exit_code == 0, result.output
    assert Path("small/weights.safetensors").exists()


def test_samples_of_another_size_than_the_network_was_traced_for_are_told() -> None:
    result = prune("of_images", shape="1,1,16,16")

    assert result.exit_code == 0, result.output
    assert "have shape [1, 8, 8]" in " ".join(result.stderr.split())


def test_a_network_without_data_is_refused() -> None:
    result = CliRunner().invoke(app, ["inspect", "own.py:nowhere", "--input-shape", "1,1,8,8"])

    assert result.exit_code == 3, result.output
    assert "device meta" in result.stderr


def test_a_folder_of_weights_says_how_to_go_on() -> None:
    result = prune("of_images", "--weights", ".")

    assert result.exit_code == 6, result.output
    assert "gnnrl.load(Net()," in result.stderr
