"""The share of a batch that each process of a team computes.

The shares of a batch are contiguous, their sizes differ by one at most, and together they are the whole batch. No
process gets a single sample, which has no variance for BatchNorm. If there are too many processes, the surplus ones
compute two samples of another process with weight 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnrl.training.team import Team
from gnnrl.zoo.batches import Batches, IndexedBatches, ended, placed

END = -1.0
"""The mark of the end, when there is no batch."""
_MARKS = 2**16


@dataclass(frozen=True, slots=True)
class Share:
    """The share of a batch that one process computes.

    Attributes:
        whole: number of samples in the whole batch.
        own: number of samples that count in this process.
        mark: a number that must be equal in all processes, as a check that they have the same batch.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor
    whole: int
    own: int
    mark: float = 0.0


@dataclass(frozen=True, slots=True)
class Computed:
    """The results of one process for a batch: a loss to propagate, and sums over its samples; empty at the end."""

    loss: Tensor | None = None
    value: float = 0.0
    correct: int = 0
    samples: int = 0
    mark: float = END


def part(count: int, rank: int, size: int) -> tuple[slice, int]:
    """Return the slice of `count` samples that a process computes, and the number of samples that count."""
    busy = min(size, max(count // 2, 1))
    if rank >= busy:
        return slice(0, 2), 0
    each, more = divmod(count, busy)
    start = rank * each + min(rank, more)
    own = each + (rank < more)
    return slice(start, start + own), own


def shares(batches: Batches, device: str, team: Team) -> Iterator[Share]:
    """Cut this process's share out of every batch, and move it to a device; errors as in `placed` and `ended`.

    Batches of a dataset are cut before they are fetched; batches of a user's loader are fetched by all processes.
    """
    if isinstance(batches, IndexedBatches):
        for indices in batches.indices():
            where, own = part(len(indices), team.rank, team.size)
            inputs, labels = placed(batches.fetch(indices[where]), device)
            yield Share(inputs, labels, len(indices), own)
        return
    for batch in ended(batches):
        inputs, labels = placed(batch, "cpu" if team.size > 1 else device)
        count = len(labels)
        mark = _mark(labels) if team.size > 1 else 0.0
        where, own = part(count, team.rank, team.size)
        inputs, labels = placed((*(value[where] for value in inputs), labels[where]), device)
        yield Share(inputs, labels, count, own, mark)


def _mark(labels: Tensor) -> float:
    """Return a number that is very likely different for a batch of other samples."""
    places = torch.arange(1, len(labels) + 1)
    return float((labels * places).sum().add(len(labels)) % _MARKS)
