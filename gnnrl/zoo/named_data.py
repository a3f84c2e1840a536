"""Labelled data by name: datasets of torchvision, and datasets that a user's function returns.

    torchvision:CIFAR10       a dataset of torchvision, which torchvision downloads when it is first used
    package.module:factory    a function that returns (train, test) or (train, reward, test)
    data/mine.py:factory      the same in a file

A factory returns datasets of (input, label): inputs as the network reads them, labels as integers. If it returns no
reward split, the last 10 % of the permuted training split become the reward split. A user's module is executed, so its
name must come from the user, never from a file that gnnrl reads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset, Subset

from gnnrl.errors import ConfigError, DataError
from gnnrl.imports import made, require
from gnnrl.zoo.batches import sample_of
from gnnrl.zoo.data import CALIBRATION_IMAGES, DataSplits, ImageDataset

TORCHVISION = "torchvision"
TORCHVISION_NAMES = ("CIFAR10", "CIFAR100", "FashionMNIST", "KMNIST", "MNIST")
_LEAST = 10
_LUMA = (0.299, 0.587, 0.114)


def is_named(source: str) -> bool:
    """Return whether a source is a name instead of a path."""
    return ":" in source and not Path(source).exists()


def named_data(
    source: str, *, image_size: tuple[int, int], mean: Sequence[float], std: Sequence[float], seed: int = 0
) -> DataSplits:
    """Load the data of a name.

    Args:
        image_size: height and width; images of torchvision's datasets are scaled to it.
        mean: mean of each channel, for torchvision's datasets; a factory normalises its inputs itself.

    Raises:
        ConfigError: the name is unknown, its library is not installed, or the factory failed.
        DataError: the data cannot be downloaded, or are not datasets of inputs and labels.
    """
    origin, _, name = source.rpartition(":")
    if origin == TORCHVISION:
        return _of_torchvision(name, image_size, mean, std, seed)
    found = made(source)
    parts = list(found) if isinstance(found, tuple | list) else []
    if len(parts) not in (2, 3) or not all(isinstance(part, Dataset) and hasattr(part, "__len__") for part in parts):
        raise DataError(
            f"{source}: {name}() must return two or three datasets of (input, label): (train, test) or "
            f"(train, reward, test); it returned {_described(found)}."
        )
    return _splits(source, parts, seed)


def _described(made: Any) -> str:
    parts = made if isinstance(made, tuple | list) else [made]
    names = ", ".join(type(part).__name__ for part in parts[:4])
    return f"({names}): return their datasets, because gnnrl makes batches itself" if "DataLoader" in names else names


def _splits(source: str, parts: list[Any], seed: int) -> DataSplits:
    train, test = parts[0], parts[-1]
    if len(train) < _LEAST or not all(len(part) for part in parts):
        raise DataError(f"{source}: there are too few training samples ({len(train)}), or another split is empty.")
    kept, held = _cut(len(train), seed) if len(parts) == 2 else (range(len(train)), range(len(parts[1])))
    reward = Subset(train if len(parts) == 2 else parts[1], held)
    labels = {_label(source, sample_of(reward, index)) for index in range(len(reward))}
    if min(labels) < 0:
        raise DataError(
            f"{source}: labels run from {min(labels)} to {max(labels)}; they must be indices (0, 1, ...) of the "
            "network's outputs. Remove samples without a label"
        )
    return DataSplits(
        Subset(train, kept),
        Subset(train, kept[:CALIBRATION_IMAGES]),
        reward,
        Subset(test, range(len(test))),
        tuple(map(str, sorted(labels))),
    )


def _label(source: str, sample: Any) -> int:
    try:
        value, label = sample
        if isinstance(value, Tensor):
            return int(label)
    except (TypeError, ValueError):
        pass
    raise DataError(f"{source}: a sample must be (input, label), a tensor and an integer.")


def _cut(count: int, seed: int) -> tuple[Sequence[int], Sequence[int]]:
    order = np.random.RandomState(seed).permutation(count).tolist()
    return order[: count - count // 10], order[count - count // 10 :]


def _of_torchvision(
    name: str, image_size: tuple[int, int], mean: Sequence[float], std: Sequence[float], seed: int
) -> DataSplits:
    datasets = require("torchvision", "vision").datasets
    if name not in TORCHVISION_NAMES:
        raise ConfigError(f"unknown data {TORCHVISION}:{name}; there are {', '.join(TORCHVISION_NAMES)}.")
    root = Path(torch.hub.get_dir()).parent / "datasets"
    try:
        train, test = (getattr(datasets, name)(str(root), train=part, download=True) for part in (True, False))
    except (OSError, RuntimeError) as error:
        raise DataError(f"{TORCHVISION}:{name} cannot be downloaded ({error}); put it into {root} yourself.") from error
    images = [_pixels(part.data, len(mean), image_size) for part in (train, test)]
    labels = torch.tensor([*map(int, train.targets), *map(int, test.targets)])
    pixels, count = torch.cat(images).__getitem__, len(images[0])
    kept, held = _cut(count, seed)
    positions = (kept, kept[:CALIBRATION_IMAGES], held, range(count, len(labels)))
    first, calibration, reward, last = (
        ImageDataset(pixels, labels, torch.tensor(part), mean, std) for part in positions
    )
    return DataSplits(first, calibration, reward, last, tuple(map(str, train.classes)))


def _pixels(data: Any, channels: int, image_size: tuple[int, int]) -> Tensor:
    """Convert images [n, H, W] or [n, H, W, C] to uint8 [n, C, H, W] of a given size."""
    images = torch.as_tensor(data)
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    if images.shape[1] != channels:
        weights = torch.tensor(_LUMA).view(1, 3, 1, 1)
        grey = (images * weights).sum(1, keepdim=True).round().to(torch.uint8) if channels == 1 else images
        images = grey.expand(-1, channels, -1, -1)
    if tuple(images.shape[2:]) == image_size:
        return images
    scaled = F.interpolate(images.float(), image_size, mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).to(torch.uint8)
