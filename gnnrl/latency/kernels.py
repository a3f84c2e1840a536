"""The operations that multiply, run alone at any widths: convolutions, linear layers, matrix products, attention."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from gnnrl.latency.stopwatch import Call
from gnnrl.network.labels import Component
from gnnrl.network.structure import Axis, Network, Operation

SHARES = {1: (0.0625, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0), 2: (0.0625, 0.25, 0.5, 0.75, 1.0)}
FEW_SHARES = (0.125, 0.5, 1.0)
"""Measured shares of each size; SHARES are for a time that depends on one or two sizes, FEW_SHARES for more."""
_MOST_SIZES = 3
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """An operation that can be run alone.

    Attributes:
        operands: dense shape of each tensor, and (dimension, position in `sizes`) of each dimension that shrinks.
        sizes, dense: the sizes that its time depends on, as rows of `Variables`, and their values before pruning.
        settings: its arguments that are not tensors.
        line: points at which time is measured, ascending, if the sizes can only shrink together; else empty.
    """

    name: str
    operands: Mapping[str, tuple[Shape, tuple[tuple[int, int], ...]]]
    sizes: tuple[int, ...]
    dense: tuple[int, ...]
    settings: Mapping[str, Any]
    line: tuple[tuple[int, ...], ...] = ()

    @property
    def signature(self) -> str:
        """A text that is equal for kernels that take the same time at the same sizes."""
        operands, settings = sorted(self.operands.items()), sorted(self.settings.items(), key=str)
        return repr((self.name, operands, self.dense, settings, self.line))

    @property
    def free(self) -> tuple[int, ...]:
        """The sizes that vary when its time is measured."""
        return self.sizes[:1] if self.line else self.sizes

    def at_point(self, point: Sequence[int], like: Tensor) -> Call:
        """Make a call of the operation whose free sizes have these values."""
        return self.at(next((sizes for sizes in self.line if sizes[0] == point[0]), point), like)

    def at(self, sizes: Sequence[int], like: Tensor) -> Call:
        """Make a call of the operation at these sizes, on tensors with the device and type of `like`.

        Raises:
            Exception: any error of the operation, for sizes that it does not accept.
        """
        tensors = {name: torch.full(self._shape(name, sizes), 0.5).to(like) for name in self.operands}
        settings = dict(self.settings)
        if settings.get("groups", 1) > 1:
            settings["groups"] = self._groups(tensors)
        target = getattr(torch.ops.aten, self.name)

        def call() -> None:
            target(**tensors, **settings)
            if like.device.type == "cuda":
                torch.cuda.synchronize(like.device)

        return call

    def _shape(self, name: str, sizes: Sequence[int]) -> Shape:
        shape, axes = self.operands[name]
        narrow = list(shape)
        for dim, position in axes:
            narrow[dim] = sizes[position]
        return tuple(narrow)

    def _groups(self, tensors: Mapping[str, Tensor]) -> int:
        """Return the groups of a narrower convolution, which lost whole groups, or the same channels of each."""
        weight, groups = tensors["weight"], int(self.settings["groups"])
        if "transpose" in self.name:
            return groups * weight.shape[0] // self.operands["weight"][0][0]
        channel = tensors["input"].ndim - weight.ndim + 1
        return int(tensors["input"].shape[channel]) // weight.shape[1]


class Variables:
    """Sizes of dimensions as linear functions of widths, fixed + Σ_g count_g · width_g; equal functions are one row."""

    def __init__(self, network: Network) -> None:
        self.offsets, self.widths = network.offsets, network.widths
        self.fixed: list[int] = []
        self._rows: list[Component] = []
        self._known: dict[bytes, int] = {}

    def row(self, owner: Component) -> int | None:
        """Return the row of a dimension, given the units of its positions [size]; None if its size is fixed."""
        units = owner[owner > 0]
        if not len(units):
            return None
        groups = np.searchsorted(self.offsets, units, side="right") - 1
        counts = np.bincount(groups, minlength=len(self.widths)) // self.widths
        fixed = len(owner) - int(counts @ self.widths)
        key = np.append(counts, fixed).tobytes()
        if key not in self._known:
            self._known[key] = len(self.fixed)
            self.fixed.append(fixed)
            self._rows.append(counts)
        return self._known[key]

    @property
    def counts(self) -> csr_array:
        """Counts of all rows [rows, G]."""
        return csr_array(np.array(self._rows, np.int64).reshape(-1, len(self.widths)))

    def at(self, row: int, widths: Component) -> int:
        """Return the value of a row at widths [G]."""
        return self.fixed[row] + int(self._rows[row] @ widths)

    def grid(self, kernel: Kernel) -> list[list[int]]:
        """Return the measured values of each free size, from the smallest possible one to the dense one.

        A size with fewer values than the grid repeats its last one.
        """
        shares = SHARES.get(len(kernel.free), FEW_SHARES)
        rows = []
        for row in kernel.free:
            dense, least = self.at(row, self.widths), self.at(row, np.ones_like(self.widths))
            values = sorted({min(max(blocked(share, dense), least), dense) for share in shares})
            values = [sizes[0] for sizes in kernel.line] or values
            rows.append(values + [dense] * (len(shares) - len(values)))
        return rows

    def line(self, kernel: Kernel) -> tuple[tuple[int, ...], ...]:
        """Return the sizes of a kernel when all groups shrink together."""
        shrunk = [np.array([blocked(share, int(width)) for width in self.widths]) for share in SHARES[1]]
        found = [tuple(self.at(row, widths) for row in kernel.sizes) for widths in shrunk]
        return tuple(sizes for _, sizes in sorted({sizes[0]: sizes for sizes in found}.items()))


def blocked(share: float, size: int) -> int:
    """Return a share of a size, for large sizes rounded to the block of channels that kernels compute at once."""
    block = 16 if size >= 128 else 8 if size >= 64 else 1
    return min(max(round(share * size / block) * block, 1), size)


def find_kernels(network: Network, like: Tensor) -> tuple[list[Kernel], Variables]:
    """Collect the operations that multiply and can be run alone.

    Operations that cannot, and operations of fixed sizes, are left out: the rest of the model covers their time.
    """
    variables = Variables(network)
    found = (_kernel(network, operation, variables) for operation in network.operations if operation.operands)
    kernels = [kernel for kernel in found if kernel is not None]
    distinct = {kernel.signature: kernel for kernel in reversed(kernels)}  # the first one of each signature
    known = {signature: _runnable(kernel, variables, like) for signature, kernel in distinct.items()}
    pairs = [(kernel, known[kernel.signature]) for kernel in kernels]
    return [replace(runnable, sizes=kernel.sizes) for kernel, runnable in pairs if runnable is not None], variables


def _runnable(kernel: Kernel, variables: Variables, like: Tensor) -> Kernel | None:
    """Return the kernel with free sizes, else with sizes that shrink together; None if it runs with neither."""
    if len(kernel.sizes) <= _MOST_SIZES and _runs(kernel, like, product(*variables.grid(kernel))):
        return kernel
    line = variables.line(kernel)
    return replace(kernel, line=line) if _runs(kernel, like, line) else None


def _kernel(network: Network, operation: Operation, variables: Variables) -> Kernel | None:
    operands: dict[str, tuple[Shape, list[tuple[int, int]]]] = {}
    rows: list[int] = []
    for name, (shape, axes) in {**_stored(network, operation), **operation.operands}.items():
        placed = []
        for axis in axes:
            row = variables.row(axis.owner)
            if row is not None:
                rows += [] if row in rows else [row]
                placed.append((axis.dim, rows.index(row)))
        operands[name] = shape, placed
    if not rows:
        return None
    return Kernel(
        operation.name,
        {name: (shape, tuple(placed)) for name, (shape, placed) in operands.items()},
        tuple(rows),
        tuple(variables.at(row, network.widths) for row in rows),
        {name: value for name, value in operation.settings.items() if name not in operands},
    )


def _stored(network: Network, operation: Operation) -> dict[str, tuple[Shape, tuple[Axis, ...]]]:
    """Return the parameters and buffers of an operation, with the dimensions that shrink."""
    return {
        argument: (
            network.shapes[name],
            tuple(Axis(dim, owner) for (tensor, dim), owner in network.owners.items() if tensor == name),
        )
        for argument, name in operation.parameters.items()
    }


def _runs(kernel: Kernel, like: Tensor, points: Iterable[Sequence[int]]) -> bool:
    try:
        for sizes in points:
            kernel.at(sizes, like)()
    except Exception:  # whatever an operation raises, it cannot be run alone
        return False
    return True
