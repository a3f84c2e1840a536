"""Datasets cut into batches, and batches made ready for a network.

n = samples in a batch. Batches are pairs of inputs [n, ...] and labels int64 [n].
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from gnnrl.errors import DataError
from gnnrl.zoo.data import ImageDataset

Augmentation = Literal["none", "crop", "flip-crop"]
Batches = Iterable[tuple[Tensor, Tensor]]
"""Yields (inputs, labels), as often as it is iterated: a DataLoader, or a list."""
LabelledData = Dataset[Any] | Batches


class IndexedBatches:
    """Batches of a dataset that can be asked for many samples at once.

    Args:
        fetch: gives (inputs, labels) for int64 [n] indices.
        size: of the dataset.
        batch_size: of every batch but the last.
        shuffle: draw a new order from torch's global generator at every iteration.
    """

    def __init__(
        self, fetch: Callable[[Tensor], tuple[Tensor, Tensor]], size: int, batch_size: int, *, shuffle: bool
    ) -> None:
        self.fetch = fetch
        self.size = size
        self.batch_size = batch_size
        self.shuffle = shuffle

    def __len__(self) -> int:
        return math.ceil(self.size / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(self.size) if self.shuffle else torch.arange(self.size)
        for start in range(0, self.size, self.batch_size):
            yield self.fetch(order[start : start + self.batch_size])


def batched(data: LabelledData, batch_size: int, *, shuffle: bool = False) -> Batches:
    """Cut a dataset of (input, label) into batches; batches that are already cut are returned as they are."""
    if isinstance(data, ImageDataset):
        return IndexedBatches(data.batch, len(data), batch_size, shuffle=shuffle)
    if isinstance(data, TensorDataset) and len(data.tensors) == 2:
        return IndexedBatches(data.__getitem__, len(data), batch_size, shuffle=shuffle)
    if isinstance(data, Dataset):
        return DataLoader(data, batch_size, shuffle=shuffle)
    return data


def on_device(batches: Batches, device: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Move batches to a device, images in channels-last layout.

    Raises:
        DataError: a batch is not a pair of tensors, or its labels are not one integer for each sample.
    """
    for batch in batches:
        if not (isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(x, Tensor) for x in batch)):
            raise DataError(f"batches must be pairs of tensors (inputs, labels), not {type(batch).__name__}.")
        inputs, labels = batch
        if labels.is_floating_point() or labels.shape != inputs.shape[:1]:
            raise DataError(f"labels must be {len(inputs)} integers, not {labels.dtype} of shape {list(labels.shape)}.")
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        yield inputs.to(device), labels.to(device, torch.int64)


def augmented(images: Tensor, kind: Augmentation) -> Tensor:
    """Shift, and for "flip-crop" mirror, images [n, C, H, W] at random; what is shifted in repeats the border.

    Shifts go up to an eighth of the height, and at least one pixel, in both directions. Draws from torch's global
    generator.

    Raises:
        DataError: the inputs are not images.
    """
    if kind == "none":
        return images
    if images.ndim != 4:
        raise DataError(f"only images [n, C, H, W] can be augmented, not inputs of shape {list(images.shape)}.")
    n, channels, height, width = images.shape
    margin = max(1, height // 8)
    top, left = torch.randint(2 * margin + 1, (2, n, 1))
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    if kind == "flip-crop":
        columns = torch.where(torch.rand(n, 1) < 0.5, columns, columns.flip(1))
    padded = F.pad(images, (margin,) * 4, mode="replicate")
    sample, channel = torch.arange(n)[:, None, None, None], torch.arange(channels)[:, None, None]
    shifted = padded[sample, channel, rows[:, None, :, None], columns[:, None, None, :]]
    return shifted.contiguous(memory_format=torch.channels_last)
