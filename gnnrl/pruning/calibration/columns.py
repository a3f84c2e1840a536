"""Samples for calibration, in any number: in memory, or in a memory-mapped file if they are large."""

import tempfile
from typing import Any

import torch
from torch import Tensor

IN_MEMORY = 2**28
"""Bytes of one input of a network that are kept in memory."""


class Column:
    """Collects the batches of one input of a network."""

    def __init__(self) -> None:
        self._batches: list[Tensor] = []
        self._file: Any = None
        self._like = torch.empty(0)
        self._samples = 0

    def add(self, batch: Tensor) -> None:
        """Keep a batch [n, ...]; batches differ in n only."""
        self._batches.append(batch)
        if sum(each.nbytes for each in self._batches) > IN_MEMORY:
            self._write()

    def joined(self) -> Tensor:
        """Return all samples [N, ...]; their file, if there is one, is deleted with the tensor."""
        if self._file is None:
            return torch.cat(self._batches)
        self._write()
        shape = self._like.shape[1:]
        size = self._samples * shape.numel()
        found = torch.from_file(self._file.name, shared=False, size=size, dtype=self._like.dtype)
        self._file.close()
        return found.view(self._samples, *shape)

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.NamedTemporaryFile(prefix="gnnrl-")  # noqa: SIM115, closed when it is mapped
            self._like = self._batches[0][:1].clone()
        for batch in self._batches:
            self._samples += len(batch)
            self._file.write(bytes_of(batch.to(self._like.dtype)))
        self._file.flush()
        self._batches.clear()


def bytes_of(value: Tensor) -> memoryview:
    """Return the numbers of a tensor as bytes, in the order of its dimensions."""
    return value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
