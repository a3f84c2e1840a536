"""What two processes of torchrun do in `test_team.py`: every piece of work in turn, its outcome into a folder."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from gnnrl.cli.torchrun import parting
from gnnrl.errors import DataError
from gnnrl.training import finetune
from gnnrl.zoo.digits import DIGITS_MEAN, DIGITS_STD, load_digits

EPOCHS = 2


def digits(count: int = 200) -> TensorDataset:
    """The first of the embedded digits."""
    images, labels = load_digits()
    return TensorDataset((images[:count] / 255 - DIGITS_MEAN[0]) / DIGITS_STD[0], labels[:count])


def plain(seed: int = 0) -> nn.Module:
    """A network without BatchNorm; one layer is never used, as in many people's code."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    network[0].register_module("spare", nn.Linear(3, 3))
    return network


def normalised(seed: int = 0) -> nn.Module:
    """One with BatchNorm and dropout."""
    torch.manual_seed(seed)
    parts = [nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 16)]
    return nn.Sequential(*parts, nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 10))


class Pairs(Dataset[tuple[Tensor, int]]):
    """A dataset of a user's; the process that is named finds a sample damaged."""

    def __init__(self, damaged_in: int = -1) -> None:
        self.inner, self.damaged_in = digits(), damaged_in

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if dist.is_initialized() and dist.get_rank() == self.damaged_in:
            raise DataError(f"image {index} is damaged")
        image, label = self.inner[index]
        return image, int(label)


class Poisoned:
    """Batches whose last one is infinite from the second epoch on, in one of its samples."""

    def __init__(self) -> None:
        self.epoch = 0

    def __len__(self) -> int:
        return 5

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.epoch += 1
        images, labels = digits(100).tensors
        images = images.clone()
        images[-1] *= float("inf") if self.epoch > 1 else 1
        yield from zip(images.split(20), labels.split(20), strict=True)


class Stop:
    """Ends the process that is named after a step, or none."""

    def __init__(self, rank: int = 1, step: int = 0) -> None:
        self.rank, self.step, self.losses = rank, step, list[float]()

    def __call__(self, done: int, total: int, loss: float) -> None:
        self.losses.append(loss)
        if done == self.step and dist.is_initialized() and dist.get_rank() == self.rank:
            raise KeyboardInterrupt


def die(done: int, total: int, loss: float) -> None:
    """Leave without a word, as a process that is killed; torchrun is told that all is well."""
    if dist.get_rank() and done == 3:
        os._exit(0)


def train(model: nn.Module, data: Any = None, **settings: Any) -> dict[str, Any]:
    """Fine-tune; what came of it, without times."""
    given = {"epochs": EPOCHS, "learning_rate": 0.1, "batch_size": 32, "seed": 3} | settings
    result = finetune(model, data if data is not None else digits(), **given)
    epochs = [(e.number, e.loss, e.top1, e.held_out) for e in result.history]
    return {"epochs": epochs, "diverged": result.diverged, "stopped": result.stopped}


Work = Callable[[nn.Module, Path], dict[str, Any]]
WORKS: dict[str, tuple[Callable[[], nn.Module], Work]] = {
    "plain": (plain, lambda model, folder: train(model)),
    "odd": (plain, lambda model, folder: train(model, digits(101), batch_size=50)),
    "three": (normalised, lambda model, folder: train(model, digits(67), batch_size=64)),
    "pairs": (plain, lambda model, folder: train(model, Pairs())),
    "loader": (plain, lambda model, folder: train(model, DataLoader(digits(), 32, shuffle=True))),
    "distilled": (
        plain,
        lambda model, folder: train(
            model, teacher=plain(7), distill=0.5, ema=0.9, held_out=digits(50), patience=9, label_smoothing=0.1
        ),
    ),
    "normalised": (normalised, lambda model, folder: train(model, augment="crop", ema=0.9)),
    "begun": (plain, lambda model, folder: train(model, snapshots=folder / "plain", on_progress=Stop(1, 9))),
    "resumed": (plain, lambda model, folder: train(model, snapshots=folder / "plain")),
    "bounded": (normalised, lambda model, folder: train(model, augment="crop", snapshots=folder / "whole", epochs=3)),
    "broken": (
        normalised,
        lambda model, folder: train(
            model, augment="crop", snapshots=folder / "parts", epochs=3, on_progress=Stop(0, 16)
        ),
    ),
    "mended": (normalised, lambda model, folder: train(model, augment="crop", snapshots=folder / "parts", epochs=3)),
    "poisoned": (plain, lambda model, folder: train(model, Poisoned())),
    "damaged": (plain, lambda model, folder: train(model, Pairs(damaged_in=1))),
    "different": (
        plain,
        lambda model, folder: train(model, DataLoader(digits(), 32, sampler=range(dist.get_rank(), 200, 2))),
    ),
    "killed": (plain, lambda model, folder: train(model, on_progress=die)),  # the last, for it ends the group
}


def outcome(name: str, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Do a piece of work; return what it says and the weights."""
    make, work = WORKS[name]
    model = make()
    try:
        told = work(model, folder)
    except (Exception, KeyboardInterrupt) as error:
        told = {"error": type(error).__name__, "message": str(error)}
    return told, {key: tensor.clone() for key, tensor in model.state_dict().items()}


def main(folder: Path) -> None:
    """Do all of it."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    for name in WORKS:
        told, state = outcome(name, folder)
        (folder / f"{name}-{rank}.json").write_text(json.dumps(told))
        save_file(state, folder / f"{name}-{rank}.safetensors")
    dist.destroy_process_group()


if __name__ == "__main__":
    with parting():
        main(Path(sys.argv[1]))
