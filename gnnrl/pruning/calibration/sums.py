"""Sums over rows that arrive in parts, for their means, variances and covariances."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnrl.pruning.calibration.records import Moments


class Totals:
    """Sums of rows [n, p] and of their squares, in float64."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = self._squares = torch.zeros(())

    def add(self, rows: Tensor) -> None:
        """Add rows [n, p]."""
        rows = rows.double()
        self._count += len(rows)
        self._sum, self._squares = self._sum + rows.sum(0), self._squares + rows.square().sum(0)

    @property
    def mean(self) -> Tensor:
        """Mean of each column [p]."""
        return self._sum / max(self._count, 1)

    @property
    def variance(self) -> Tensor:
        """Variance of each column [p], of the rows themselves."""
        return (self._squares / max(self._count, 1) - self.mean.square()).clamp_min(0)

    def deviation(self) -> Tensor:
        """Return the estimated standard deviation of each column [p]."""
        return (self.variance * self._count / max(self._count - 1, 1)).sqrt()

    def energy(self, *, centred: bool = False) -> float:
        """Return the mean square of the rows, or their variance, summed over the columns."""
        squares = self.variance if centred else self._squares / max(self._count, 1)
        return max(float(squares.sum()), 1e-12)


class Products:
    """Sum of rows [n, p] and their Gram matrix [p, p], about the mean of the first rows, for its precision."""

    def __init__(self) -> None:
        self._count = 0
        self._origin: Tensor | None = None
        self._sum = self._products = torch.zeros(())

    def add(self, rows: Tensor) -> None:
        """Add rows [n, p]."""
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        if self._origin is None:
            self._origin = rows.mean(0)
        rows = rows - self._origin
        self._count += len(rows)
        self._sum, self._products = self._sum + rows.sum(0), self._products + rows.T @ rows

    def moments(self) -> Moments:
        """Return mean and covariance."""
        assert self._origin is not None
        mean = self._sum / self._count
        return Moments(self._origin + mean, self._products / self._count - mean[:, None] * mean)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and variance of the channels of tensors [N, C, ...], and how many numbers of a channel they are from."""

    count: int
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, value: Tensor, spread: bool = True) -> "Statistics":
        """Compute them for one tensor; without `spread`, the variance is 0."""
        dims = [dim for dim in range(value.ndim) if dim != 1]
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        mean = value.mean(dims)
        variance = value.var(dims, correction=0) if spread else torch.zeros_like(mean)
        return cls(value.numel() // max(value.shape[1], 1), mean, variance)

    @classmethod
    def merged(cls, parts: Sequence["Statistics"]) -> "Statistics":
        """Combine those of several tensors."""
        if len(parts) == 1:
            return parts[0]
        count = sum(part.count for part in parts)
        mean = sum((part.mean.double() * (part.count / count) for part in parts), torch.zeros(()))
        spread = [part.variance.double() + (part.mean.double() - mean).square() for part in parts]
        variance = sum((v * (part.count / count) for v, part in zip(spread, parts, strict=True)), torch.zeros(()))
        return cls(count, mean.to(parts[0].mean.dtype), variance.to(parts[0].mean.dtype))
