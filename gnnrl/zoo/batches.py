"""Batches of datasets, and batches as networks read them.

n = samples in a batch. A batch is (x, y), or (x1, x2, ..., y) for a network with several inputs: the inputs [n, ...] in
the order of `forward`, and the labels, int64 [n], at the end.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, default_collate

from gnnrl.errors import DataError, GnnrlError, first_line
from gnnrl.zoo.data import ImageDataset

Augmentation = Literal["none", "crop", "flip-crop"]
Batches = Iterable[tuple[Tensor, ...]]
"""Yields (x, y) or (x1, x2, ..., y) in every iteration: a DataLoader or a list."""
LabelledData = Dataset[Any] | Batches
MAX_BATCHES = 1_000_000


@dataclass(frozen=True, eq=False)
class IndexedBatches:
    """Batches of a dataset that returns several samples at once.

    Attributes:
        fetch: returns (inputs, labels) for int64 [n] indices.
        size: number of samples in the dataset.
        batch_size: samples in every batch but the last.
        shuffle: draw a new order from torch's global generator in every iteration.
    """

    fetch: Callable[[Tensor], tuple[Tensor, ...]]
    size: int
    batch_size: int
    shuffle: bool

    def __len__(self) -> int:
        return math.ceil(self.size / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return map(self.fetch, self.indices())

    def indices(self) -> Iterator[Tensor]:
        """Yield the indices of the samples of each batch."""
        order = torch.randperm(self.size) if self.shuffle else torch.arange(self.size)
        for start in range(0, self.size, self.batch_size):
            yield order[start : start + self.batch_size]


def batched(data: LabelledData, batch_size: int, *, shuffle: bool = False) -> Batches:
    """Cut a dataset of (input, label) into batches. Batches are returned unchanged."""
    if isinstance(data, ImageDataset):
        return IndexedBatches(data.batch, len(data), batch_size, shuffle=shuffle)
    if isinstance(data, TensorDataset) and len(data.tensors) >= 2:
        return IndexedBatches(data.__getitem__, len(data), batch_size, shuffle=shuffle)
    if isinstance(data, IterableDataset):
        return DataLoader(data, batch_size)
    if isinstance(data, Dataset):
        size = len(data)  # type: ignore[arg-type]  # as DataLoader asks of a dataset
        return IndexedBatches(partial(_collated, data), size, batch_size, shuffle=shuffle)
    return data


def _collated(data: Dataset[Any], indices: Tensor) -> tuple[Tensor, ...]:
    samples = [sample_of(data, index) for index in indices.tolist()]
    try:
        return tuple(default_collate(samples))
    except (RuntimeError, TypeError) as error:
        inputs = [sample[0] for sample in samples if isinstance(sample, tuple | list)]
        shapes = {str(list(value.shape)) for value in inputs if isinstance(value, Tensor)}
        found = f"inputs of the shapes {', '.join(sorted(shapes)[:3])}" if len(shapes) > 1 else first_line(error)
        raise DataError(
            f"samples cannot be joined into a batch: {found}. Give all samples the same shape and type"
        ) from error


def sample_of(data: Dataset[Any], index: int) -> Any:
    """Return one sample of a user's dataset.

    Raises:
        DataError: the dataset fails. The message names the sample.
    """
    try:
        return data[index]
    except GnnrlError:
        raise
    except Exception as error:
        within = data
        while isinstance(within, Subset):
            index, within = within.indices[index], within.dataset
        raise DataError(
            f"{type(within).__name__} fails on sample {index} with {type(error).__name__}: {error}. Fix the sample, "
            "or remove it"
        ) from error


def ended(batches: Batches) -> Iterator[tuple[Tensor, ...]]:
    """Yield batches, and refuse endless ones.

    Raises:
        DataError: there are too many batches.
    """
    has_end = _has_end(batches)
    for number, batch in enumerate(batches):
        if number >= MAX_BATCHES and not has_end:
            raise DataError(
                f"{type(batches).__name__} yields more than {MAX_BATCHES:,} batches and has no length: is it "
                "endless? Limit it (itertools.islice), or give it a __len__ that returns the number of batches."
            )
        yield batch


def placed(batch: tuple[Tensor, ...], device: str) -> tuple[tuple[Tensor, ...], Tensor]:
    """Move a batch to a device, and return its inputs, images in channels-last layout, and its labels.

    Raises:
        DataError: the batch is not made of inputs and labels, its tensors differ in their number of samples, or the
            labels are not one integer for each sample.
    """
    if not (isinstance(batch, tuple | list) and len(batch) > 1 and all(isinstance(x, Tensor) for x in batch)):
        raise DataError(
            f"batches must be tensors (x, y), or (x1, x2, ..., y) with the labels last, not {_described(batch)}."
        )
    *inputs, labels = batch
    count = len(inputs[0])
    if any(len(value) != count for value in inputs):
        raise DataError(
            f"the inputs of a batch have different numbers of samples: {', '.join(str(len(x)) for x in inputs)}."
        )
    if labels.is_floating_point() or labels.shape != inputs[0].shape[:1]:
        raise DataError(f"labels must be {count} integers, not {labels.dtype} of shape {list(labels.shape)}.")
    return tuple(_laid_out(value).to(device) for value in inputs), labels.to(device, torch.int64)


def _has_end(batches: Batches) -> bool:
    try:
        return len(batches) >= 0  # type: ignore[arg-type]
    except TypeError:
        return False


def _described(batch: Any) -> str:
    """Return the type of a batch, with the types of its parts if there are few."""
    if isinstance(batch, tuple | list) and 0 < len(batch) <= 4:
        return f"({', '.join(type(part).__name__ for part in batch)})"
    return type(batch).__name__


def _laid_out(value: Tensor) -> Tensor:
    return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value


def augmented(images: Tensor, kind: Augmentation) -> Tensor:
    """Shift and, for "flip-crop", mirror images [n, C, H, W] at random. Pixels that are shifted in repeat the border.

    Shifts are at most an eighth of the height, or one pixel, in both directions. They are drawn from torch's global
    generator.

    Raises:
        DataError: the inputs are not images.
    """
    if kind == "none":
        return images
    if images.ndim != 4:
        raise DataError(f"only images [n, C, H, W] can be augmented, not inputs of the shape {list(images.shape)}.")
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
