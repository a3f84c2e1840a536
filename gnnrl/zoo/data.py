"""Labelled images and their fixed splits: a folder or archive of class folders, or the embedded digits.

N = images, C = channels, H and W = the network's input size. Pixels are stored as uint8 and normalised when a batch
is read, so 50,000 images of 32x32 take 150 MB. Larger images stay encoded until they are read.

An image's class is the folder it lies in; classes are numbered in alphabetical order. Splits are drawn from the
files sorted by path, permuted with `numpy.random.RandomState(seed).permutation(n)`:

| source | train | reward | test |
| --- | --- | --- | --- |
| train/ and test/, as folders or archives | the first 90 % of train/ | the last 10 % of train/ | test/ |
| train/ and val/ | the first 90 % of train/ | the last 10 % of train/ | val/ |
| train/, val/ and test/ | train/ | val/ | test/ |
| anything else | the first 80 % | the next 10 % | the last 10 % |

Calibration images are the first 1,000 of the training split.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from gnnrl.errors import ConfigError, DataError
from gnnrl.moved import warn_renamed
from gnnrl.zoo.digits import REWARD, TEST, TRAIN, load_digits
from gnnrl.zoo.pixels import Content, Pixels, collect
from gnnrl.zoo.sources import ARCHIVE_SUFFIXES, OnProgress, read_images

CALIBRATION_IMAGES = 1000
SPLITS = ("train", "val", "test")


class ImageDataset(Dataset[tuple[Tensor, Tensor]]):
    """Labelled images, normalised as (pixel / 255 - mean) / std when they are read.

    Args:
        pixels: returns uint8 [n, C, H, W] for n positions.
        labels: int64 [number of images in `pixels`].
        positions: positions in `pixels` of this split's images, int64 [N].
        mean: mean of each channel, in [0, 1].
        std: standard deviation of each channel, > 0.
    """

    def __init__(
        self, pixels: Pixels, labels: Tensor, positions: Tensor, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.pixels = pixels
        self.labels = labels[positions]
        self.positions = positions
        self._scale = 1 / (255 * torch.tensor(std).view(1, -1, 1, 1))
        self._shift = torch.tensor(mean).view(1, -1, 1, 1) / torch.tensor(std).view(1, -1, 1, 1)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image, float32 [C, H, W], and its label, int64 []."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        images, labels = self.batch(torch.tensor([index % len(self)]))
        return images[0], labels[0]

    def first(self, count: int) -> "ImageDataset":
        """Return a split with only the first images."""
        few = copy.copy(self)
        few.labels, few.positions = self.labels[:count], self.positions[:count]
        return few

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return images, float32 [n, C, H, W], and labels, int64 [n], at n indices of this split."""
        pixels = self.pixels(self.positions[indices])
        return pixels.to(torch.float32).mul_(self._scale).sub_(self._shift), self.labels[indices]


@dataclass(frozen=True)
class DataSplits:
    """Data of a compression. No image is in two of train, reward and test."""

    train: ImageDataset | Subset[Any]
    calibration: ImageDataset | Subset[Any]
    """First images of `train`; few uses need their labels."""
    reward: ImageDataset | Subset[Any]
    test: ImageDataset | Subset[Any]
    """Read once, at the end."""
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    """Names of images that could not be decoded."""

    def first_reward(self, count: int | None) -> ImageDataset | Subset[Any]:
        """Return the first images of `reward`, whose order is random, or all images."""
        if count is None or count >= len(self.reward):
            return self.reward
        if isinstance(self.reward, ImageDataset):
            return self.reward.first(count)
        return Subset(self.reward, range(count))

    def judging(self, count: int | None) -> ImageDataset | Subset[Any]:
        """Deprecated name of `first_reward`."""
        warn_renamed("DataSplits.judging", "DataSplits.first_reward")
        return self.first_reward(count)


def load_data(
    path: str | Path,
    *,
    image_size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    seed: int = 0,
    progress: OnProgress = lambda done, total: None,
) -> DataSplits:
    """Read labelled images, and divide them into splits.

        data = load_data("pictures", image_size=(224, 224), mean=IMAGENET_MEAN, std=IMAGENET_STD)

    Args:
        path: a folder or archive (tar, zip) of class folders, a folder with train and test as folders or archives,
            or "digits" for the embedded digits, whose splits do not depend on the seed.
        image_size: height and width. Other images are scaled to cover it and cropped at the centre.
        mean: mean of each channel, in [0, 1]; one number for grey images, three for colour.
        std: standard deviation of each channel.
        seed: seed of the splits.
        progress: function that is called with (done, total) while a source is read.

    Raises:
        ConfigError: mean and std have different lengths, or the digits are read in another size.
        DataError: the source is missing, damaged or unsafe, has too few images or classes, or more than 1 % of its
            images cannot be decoded.
    """
    if len(mean) not in (1, 3) or len(std) != len(mean) or min(std) <= 0:
        raise ConfigError(f"mean and std need 1 or 3 numbers each, std above 0; got {list(mean)} and {list(std)}.")
    if str(path) == "digits":
        return _load_digits(image_size, mean, std)
    path = Path(path)
    names, pixels, skipped = collect(_read(path, progress), (len(mean), *image_size), path)
    roots = _find_roots(names, path)
    classes, labels = _label(names, roots, path)
    cut = _cut(roots, seed, path)
    train, reward, test = (ImageDataset(pixels, labels, positions, mean, std) for positions in cut)
    return DataSplits(train, train.first(CALIBRATION_IMAGES), reward, test, classes, tuple(skipped))


def check_labels(labels: Tensor, outputs: int) -> None:
    """Check that a network with `outputs` logits has one for each of the labels, int64 [N].

    Raises:
        DataError: a label has no logit.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= outputs:
        raise DataError(
            f"labels run from {low} to {high}, but the network has {outputs} classes (0 to {outputs - 1}). "
            "Use the data that the network was made for, or a network with a logit for each class."
        )


def _load_digits(image_size: tuple[int, int], mean: Sequence[float], std: Sequence[float]) -> DataSplits:
    images, labels = load_digits()
    if (len(mean), *image_size) != tuple(images.shape[1:]):
        height, width = image_size
        raise ConfigError(
            f"the embedded digits are grey images of 8x8 pixels, the network takes {len(mean)} x {height} x {width}. "
            "Give the network its own data, or use digits-resnet."
        )
    positions = torch.arange(len(images))
    train, reward, test = (
        ImageDataset(images.__getitem__, labels, positions[part], mean, std) for part in (TRAIN, REWARD, TEST)
    )
    return DataSplits(train, train.first(CALIBRATION_IMAGES), reward, test, tuple("0123456789"))


def _read(path: Path, progress: OnProgress) -> Iterator[tuple[str, Content]]:
    """Yield the images of a source. Images of train.tar, test.zip and so on are named as in train/ and test/."""
    archives = {
        split: archive
        for split in SPLITS
        for suffix in ARCHIVE_SUFFIXES
        if (archive := path / f"{split}{suffix}").is_file()
    }
    if "train" not in archives or len(archives) == 1:
        yield from read_images(path, progress)
    else:
        for split, archive in archives.items():
            for name, content in read_images(archive, progress):
                yield f"{split}/{name}", content


def _find_roots(names: list[str], source: Path) -> dict[str, list[int]]:
    """Return the positions of the images of each split, or of all images under "" if the source has no splits.

    Raises:
        DataError: an image lies outside any class folder.
    """
    paths = [name.split("/") for name in names]
    while len({path[0] for path in paths}) == 1 and all(len(path) > 2 for path in paths):
        paths = [path[1:] for path in paths]
    tops = {path[0] for path in paths}
    splits = {split for split in SPLITS if split in tops} if "train" in tops and len(tops) > 1 else set()
    depth = 3 if tops == splits else 2
    for path, name in zip(paths, names, strict=True):
        if len(path) < depth:
            raise DataError(f"{source}: {name} is not in a class folder; images are expected as class_name/{path[-1]}.")
    if tops != splits:
        return {"": list(range(len(names)))}
    return {split: [i for i, path in enumerate(paths) if path[0] == split] for split in SPLITS if split in splits}


def _label(names: list[str], roots: dict[str, list[int]], source: Path) -> tuple[tuple[str, ...], Tensor]:
    """Number the class folders alphabetically. train/ must have all of them."""
    folders = [name.split("/")[-2] for name in names]
    classes = sorted(set(folders))
    if len(classes) < 2:
        raise DataError(f"{source}: all images are in one class folder, {classes[0]!r}; at least two are needed.")
    unknown = sorted(set(classes) - {folders[i] for i in roots.get("train", range(len(names)))})
    if unknown:
        raise DataError(f"{source}: train/ lacks the class folders {', '.join(unknown[:5])}, which another split has.")
    numbers = {name: number for number, name in enumerate(classes)}
    return tuple(classes), torch.tensor([numbers[folder] for folder in folders])


def _cut(roots: dict[str, list[int]], seed: int, source: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Return the positions of the training, reward and test images, by the table of this module."""
    pool = torch.tensor(roots.get("train", roots.get("")))
    pool = pool[torch.from_numpy(np.random.RandomState(seed).permutation(len(pool)))]
    tenth = len(pool) // 10
    if "" in roots:
        train, reward, test = pool.tensor_split([len(pool) - 2 * tenth, len(pool) - tenth])
    elif len(roots) == 3:
        train, reward, test = pool, torch.tensor(roots["val"]), torch.tensor(roots["test"])
    else:
        train, reward = pool.tensor_split([len(pool) - tenth])
        test = torch.tensor(roots.get("test", roots.get("val")))
    if not all(len(part) for part in (train, reward, test)):
        raise DataError(f"{source}: {len(pool)} images are too few to split; at least 10 are needed.")
    return train, reward, test
