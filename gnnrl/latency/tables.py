"""Tables of measured times over sizes, interpolated: the form of the metric `latency`.

T = tables, D = sizes that the time of a layer depends on, K = measured values of each size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from gnnrl.network.cost import Form
from gnnrl.network.labels import Component
from gnnrl.network.polynomial import Polynomial

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tables:
    """Times of layers with the same number of sizes, linear between measured sizes and constant outside of them.

    Attributes:
        indices: the sizes [T, D].
        grid: measured values of each size, ascending [T, D, K].
        times: time at each point of the grid, the last size fastest [T, K ** D].
    """

    indices: Component
    grid: Floats
    times: Floats

    def value(self, sizes: NDArray[np.int64]) -> Floats:
        """Return the sum of all times [...] for sizes [..., S]."""
        cell, share, _ = self._located(sizes)
        total = np.zeros(sizes.shape[:-1])
        for corner, times in self._corners(cell):
            total += (times * np.where(corner, share, 1 - share).prod(-1)).sum(-1)
        return total

    def gradient(self, sizes: NDArray[np.int64]) -> Floats:
        """Return the derivatives [N, S] of the sum with respect to each size [N, S]."""
        cell, share, step = self._located(sizes)
        result = np.zeros(sizes.shape)
        rows = np.arange(len(sizes))[:, None]
        for corner, times in self._corners(cell):
            weight = np.where(corner, share, 1 - share)
            for dim, upper in enumerate(corner):
                others = np.delete(weight, dim, -1).prod(-1)
                slope = np.where(step[..., dim] > 0, (1 if upper else -1) / np.maximum(step[..., dim], 1e-9), 0)
                np.add.at(result, (rows, self.indices[:, dim]), times * others * slope)
        return result

    def _located(self, sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Return the cell of each size, the position inside it, and its length, 0 outside of the grid [..., T, D]."""
        x = sizes[..., self.indices].astype(np.float64)
        cell = np.clip((x[..., None] >= self.grid).sum(-1) - 1, 0, self.grid.shape[-1] - 2)
        grid = np.broadcast_to(self.grid, (*x.shape, self.grid.shape[-1]))
        low, high = np.moveaxis(np.take_along_axis(grid, np.stack([cell, cell + 1], -1), -1), -1, 0)
        inside = (x >= self.grid[..., 0]) & (x <= self.grid[..., -1])
        length = np.maximum(high - low, 1e-9)
        return cell, np.clip((x - low) / length, 0, 1), np.where(inside & (high > low), length, 0)

    def _corners(self, cell: NDArray[np.int64]) -> Iterator[tuple[tuple[int, ...], Floats]]:
        """Yield each corner of the cells, with its times [..., T]."""
        dims, points = self.grid.shape[1:]
        strides = points ** np.arange(dims - 1, -1, -1)
        rows = np.arange(len(self.indices))
        for corner in product((0, 1), repeat=dims):
            yield corner, self.times[rows, ((cell + np.array(corner)) * strides).sum(-1)]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of a forward pass:  factor · (scale · Σ tables + constant + per_byte · bytes of all results).

    Attributes:
        tables: functions of sizes that sum to the milliseconds of the layers.
        volume: bytes of all results, which the operations other than layers read and write.
        scale, constant, per_byte: coefficients fitted to whole networks.
        factor: correction by a measured plan.
        reference: milliseconds of the dense network that shares refer to, where that is not this model's own: in
            another precision of the same engine; None otherwise.
    """

    tables: tuple[Form, ...]
    volume: Polynomial
    scale: float = 1.0
    constant: float = 0.0
    per_byte: float = 0.0
    factor: float = 1.0
    reference: float | None = None

    def value(self, sizes: NDArray[np.int64]) -> Floats:
        """Return the milliseconds [...] for sizes [..., S]."""
        rest = self.constant + self.per_byte * self.volume.value(sizes)
        return np.asarray(self.factor * (self.scale * self.layers(sizes) + rest))

    def layers(self, sizes: NDArray[np.int64]) -> Floats:
        """Return the sum of the layers' own times [...] for sizes [..., S]."""
        return np.asarray(sum((tables.value(sizes) for tables in self.tables), np.zeros(sizes.shape[:-1])))

    def gradient(self, sizes: NDArray[np.int64]) -> Floats:
        """Return the derivatives [N, S] with respect to each size [N, S]."""
        layers = sum((tables.gradient(sizes) for tables in self.tables), np.zeros(sizes.shape))
        rest = self.per_byte * self.volume.gradient(sizes)
        return np.asarray(self.factor * (self.scale * layers + rest))


def monotone(times: Floats) -> Floats:
    """Return times [K, ..., K] near the given ones that never fall as a size grows: halfway between two such bounds.

    A measurement in which more channels take less time shows noise or the width of a register. With it, wider groups
    could meet a limit.
    """
    for axis in range(times.ndim):
        rising = np.maximum.accumulate(times, axis)
        falling = np.flip(np.minimum.accumulate(np.flip(times, axis), axis), axis)
        times = (rising + falling) / 2
    return times
