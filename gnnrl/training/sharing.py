"""Which part of a batch each process of a team computes.

The parts of a batch are contiguous, and their sizes differ by one at most, so that all together are the batch that one
process would compute. Nobody is given a single sample, which has no variance to normalise with: the processes that are
too many compute two samples of others, without weight.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnrl.training.team import Team
from gnnrl.zoo.batches import Batches, IndexedBatches, ended, placed

END = -1.0
"""The mark of no batch."""
_MARKS = 2**16


@dataclass(frozen=True, slots=True)
class Share:
    """What one process computes of a batch.

    Attributes:
        whole: samples of the whole batch.
        own: how many of them count here.
        mark: what the batches of all processes must have in common.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor
    whole: int
    own: int
    mark: float = 0.0


@dataclass(frozen=True, slots=True)
class Computed:
    """What one process computed of a batch: a loss to propagate, and sums over its samples; nothing at the end."""

    loss: Tensor | None = None
    value: float = 0.0
    correct: int = 0
    samples: int = 0
    mark: float = END


def part(count: int, rank: int, size: int) -> tuple[slice, int]:
    """Which of `count` samples a process computes, and how many of them count."""
    busy = min(size, max(count // 2, 1))
    if rank >= busy:
        return slice(0, 2), 0
    each, more = divmod(count, busy)
    start = rank * each + min(rank, more)
    own = each + (rank < more)
    return slice(start, start + own), own


def shares(batches: Batches, device: str, team: Team) -> Iterator[Share]:
    """Cut this process's share out of every batch, and move it to a device.

    Batches of a dataset are cut before they are fetched; those of a loader of the user's are fetched by all processes.

    Raises:
        DataError: see `placed` and `ended`.
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
    """A number that batches of other samples hardly share."""
    places = torch.arange(1, len(labels) + 1)
    return float((labels * places).sum().add(len(labels)) % _MARKS)
