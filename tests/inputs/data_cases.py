"""Images, labels and loaders that are no use: kinds 29 to 33."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gnnrl.compression.pipeline import compress
from gnnrl.scoring.plans import score_network as judged_once
from gnnrl.zoo.models import resolve_model
from tests.inputs.case import Case, Said, call, command
from tests.inputs.networks import chain, images
from tests.inputs.setting_cases import DIGITS
from tests.zoo.pictures import make_pictures, write_folder

WHOLE = {"importance": "l2", "repair": "none", "searcher": "uniform"}


class Endless:
    """Batches without an end."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield images(), torch.zeros(2, dtype=torch.int64)


def random_weights() -> str:
    save_file(resolve_model("digits-resnet").state_dict(), "random.safetensors")
    return "random.safetensors"


def judged(batches: Any) -> Callable[[], Said]:
    """A compression that is to judge by these batches."""

    def tried() -> Said:
        return call(
            lambda: f"judged {len(compress(chain(), images(), 'macs<=70%', evaluate=batches, **WHOLE).history)} plan"
        )

    return tried


def labelled(*labels: int) -> list[tuple[Tensor, Tensor]]:
    return [(images(len(labels)), torch.tensor(labels))]


def endless() -> Said:
    with patch("gnnrl.zoo.batches.MAX_BATCHES", 100):
        return judged(Endless())()


def shuffled() -> Said:
    """A score that hangs on the order of the images."""
    loader = DataLoader(TensorDataset(torch.randn(40, 3, 8, 8), torch.arange(40) % 5), batch_size=3, shuffle=True)

    def first(model: nn.Module) -> float:
        return float(next(iter(loader))[0].sum())

    def same() -> bool:
        return len({judged_once(first, chain()) for _ in range(3)}) == 1

    return call(lambda: f"the same score each time: {same()}")


def folder(files: dict[str, bytes], link: str | None = None) -> Callable[[], Said]:
    def tried() -> Said:
        write_folder(Path("pictures"), {"README": b"", **files})
        if link:
            Path("pictures", link).symlink_to("nowhere.png")
        return command("prune", *DIGITS[:-1], "pictures")

    return tried


def skipping() -> Said:
    """One image in 200 is damaged: a dry run tells of it."""
    classes = tuple("abcdefghij")
    write_folder(Path("pictures"), make_pictures(20, classes) | {"a/0003.png": b"not an image"})
    return command("prune", *DIGITS[:-1], "pictures", "--dry-run", told=r"warning: .*?\.png")


CASES = (
    Case(29, "a loader without batches", judged([]), 5, ("there are no batches",)),
    Case(29, "one image to judge on", judged(labelled(1)), 0, ("judged 1 plan",)),
    Case(29, "a last batch of one image", judged([*labelled(1, 2), *labelled(3)]), 0, ("judged 1 plan",)),
    Case(29, "a folder without images", folder({}), 5, ("pictures: there is no image", "class_name/0001.jpg")),
    Case(
        29, "a folder of four images", folder(make_pictures(2)), 5, ("4 images are too few", "at least 10 are needed")
    ),
    Case(30, "labels out of range", judged(labelled(2, 7)), 5, ("labels run from 2 to 7", "0 to 4")),
    Case(
        30,
        "more classes than the network tells apart",
        folder(make_pictures(5, tuple("abcdefghijkl"))),
        5,
        ("12 classes", "10 outputs"),
    ),
    Case(30, "labels that are text", judged([(images(), ("cat", "dog"))]), 5, ("(Tensor, tuple)", "(x, y)")),
    Case(31, "batches without labels", judged([images()]), 5, ("not Tensor", "(x, y)")),
    Case(31, "a loader without an end", endless, 5, ("Endless yields more than 100 batches", "itertools.islice")),
    Case(
        31,
        "a generator, which can be read once",
        judged(iter(labelled(1))),
        2,
        ("not a generator", "give a loader or a list"),
    ),
    Case(31, "a loader that shuffles without a seed", shuffled, 0, ("the same score each time: True",)),
    Case(
        31,
        "`--data nodir`",
        lambda: command("prune", *DIGITS[:-1], "nodir"),
        5,
        ("nodir does not exist", "class folders"),
    ),
    Case(32, "one damaged image in 200", skipping, 0, ("1 images that cannot be decoded are skipped", "a/0003.png")),
    Case(
        32,
        "one damaged image in 20",
        folder(make_pictures(10) | {"cat/0003.png": b"not an image"}),
        5,
        ("cat/0003.png", "remove or replace"),
    ),
    Case(
        32,
        "a link that leads nowhere",
        folder(make_pictures(10), "cat/gone.png"),
        5,
        ("cat/gone.png", "remove or replace"),
    ),
    Case(
        33,
        "a network that guesses",
        lambda: command("prune", "--model", "digits-resnet", "--data", "digits", "--dry-run", told=r"warning: .*?\?"),
        0,
        ("no more than guessing", "--mean"),
    ),
    Case(
        33,
        "a network that guesses, to be pruned",
        lambda: command("prune", "--model", "digits-resnet", "--weights", random_weights(), "--data", "digits"),
        2,
        ("no more than guessing", "--mean", "--untrained"),
    ),
)
