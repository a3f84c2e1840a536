"""Accuracy of each class, counted while a score is measured, so that test images are not read again for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import torch
from torch import Tensor, nn

from gnnrl.modules.copies import device_of
from gnnrl.scoring.measures import Precision, mean_of
from gnnrl.zoo.batches import LabelledData, batched


class Change(TypedDict):
    """The accuracy of each class in two passes, as JSON values."""

    names: list[str]
    images: list[int]
    dense: list[float]
    final: list[float]


@dataclass(slots=True)
class ClassTally:
    """Top-1 as a function of a network, which also counts the recognised images of each class in each pass.

    Attributes:
        names: names of the classes; a class without a name is called by its number.
        device: device on which networks are scored; by default the network's own.
        images: number of images of each class in the last pass.
        passes: number of recognised images of each class, one entry for each network that was scored.
    """

    data: LabelledData
    names: Sequence[str] = ()
    batch_size: int = 250
    device: str | None = None
    precision: Precision = "float32"
    images: tuple[int, ...] = ()
    passes: list[tuple[int, ...]] = field(default_factory=list)

    def __call__(self, model: nn.Module) -> float:
        """Measure top-1, with the conditions and errors of `gnnrl.training.top1`."""
        place = self.device or str(device_of(model))
        images, found = torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)

        def recognised(logits: Tensor, labels: Tensor) -> Tensor:
            nonlocal images, found
            right = logits.argmax(1) == labels
            images = _added(images, labels, logits.shape[1])
            found = _added(found, labels[right], logits.shape[1])
            return right.sum()

        score = mean_of(model, batched(self.data, self.batch_size), place, self.precision, recognised)
        self.images = tuple(images.tolist())
        self.passes.append(tuple(found.tolist()))
        return score

    def change(self, first: int, last: int) -> Change:
        """Return the accuracy of each class that has images in two passes."""
        counts = zip(self.images, self.passes[first], self.passes[last], strict=True)
        rows = [(number, *row) for number, row in enumerate(counts) if row[0]]
        return {
            "names": [self.names[row[0]] if row[0] < len(self.names) else str(row[0]) for row in rows],
            "images": [images for _, images, _, _ in rows],
            "dense": [before / images for _, images, before, _ in rows],
            "final": [after / images for _, images, _, after in rows],
        }


def _added(counts: Tensor, labels: Tensor, classes: int) -> Tensor:
    more = torch.bincount(labels.cpu(), minlength=classes)
    return more if not len(counts) else counts + more
