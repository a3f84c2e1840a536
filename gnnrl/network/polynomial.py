"""Closed forms: the sizes of dimensions as linear functions of widths, and sums of products of sizes.

G = groups, S = sizes; the last size is the constant 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gnnrl.network.labels import Component


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of dimensions  s = fixed + Σ_g count_g · width_g  in compressed rows: few groups meet in one dimension.

    Attributes:
        fixed: channels of each dimension that no plan can remove [S].
        rows: dimensions that a plan can shorten, ascending.
        starts: the first entry of each of these rows in `counts` and `groups`.
    """

    fixed: Component
    rows: Component
    starts: Component
    counts: Component
    groups: Component

    @classmethod
    def build(cls, fixed: Component, counts: csr_array) -> "Sizes":
        """Take the counts [S - 1, G] apart, and add the constant size."""
        rows = np.flatnonzero(np.diff(counts.indptr))
        starts, groups = counts.indptr[rows].astype(np.int64), counts.indices.astype(np.int64)
        return cls(np.append(fixed, 1), rows, starts, counts.data, groups)

    def at(self, widths: Component) -> Component:
        """Sizes [..., S] at widths [..., G]."""
        sizes = np.empty((*widths.shape[:-1], len(self.fixed)), np.int64)
        sizes[...] = self.fixed
        sizes[..., self.rows] += np.add.reduceat(self.counts * widths[..., self.groups], self.starts, -1)
        return sizes

    def price(self, gradient: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
        """Carry derivatives with respect to sizes [N, S] back to the widths [N, G]."""
        lengths = np.diff(self.starts, append=len(self.groups))
        weights = np.repeat(gradient[:, self.rows], lengths, axis=1) * self.counts
        return _sum_columns(weights, self.groups, groups)


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A sum of products of sizes: Σ_t coefficient_t · Π_j size[index_tj]; the last size is the constant 1."""

    coefficients: NDArray[np.int64]
    indices: NDArray[np.int64]

    @classmethod
    def build(cls, terms: Sequence[tuple[int, Sequence[int]]], one: int) -> "Polynomial":
        """Collect terms (coefficient, indices of sizes); `one` is the index of the constant size."""
        degree = max((len(indices) for _, indices in terms), default=1) or 1
        rows = [[*indices, *([one] * (degree - len(indices)))] for _, indices in terms]
        return cls(
            np.array([coefficient for coefficient, _ in terms], np.int64),
            np.array(rows, np.int64).reshape(len(terms), degree),
        )

    def value(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Value for sizes [..., S]."""
        return np.asarray(self.terms(sizes).sum(-1), np.int64)

    def terms(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Value of each term for sizes [..., S]."""
        product = self.coefficients * sizes[..., self.indices[:, 0]]
        for column in range(1, self.indices.shape[1]):
            product = product * sizes[..., self.indices[:, column]]
        return product

    def gradient(self, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Derivatives [N, S] with respect to each size [N, S]."""
        result = np.zeros(sizes.shape)
        columns = range(self.indices.shape[1])
        for column in columns:
            terms = np.broadcast_to(self.coefficients.astype(np.float64), (len(sizes), len(self.coefficients)))
            for other in columns:
                if other != column:
                    terms = terms * sizes[:, self.indices[:, other]]
            result += _sum_columns(terms, self.indices[:, column], sizes.shape[1])
        return result


def _sum_columns(values: NDArray[np.float64], into: Component, count: int) -> NDArray[np.float64]:
    """Add columns of values [N, K] up into `count` columns: result[n, into[k]] += values[n, k]."""
    flat = np.arange(len(values))[:, None] * count + into
    sums = np.bincount(flat.ravel(), weights=values.ravel(), minlength=len(values) * count)
    return sums.astype(np.float64, copy=False).reshape(len(values), count)
