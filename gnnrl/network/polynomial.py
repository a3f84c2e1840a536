"""Closed forms: the sizes of dimensions as linear functions of widths, sums of products of sizes, and their maxima.

G = groups, S = sizes, T = terms; the last size is the constant 1.
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

    def extended(self, fixed: Component, counts: csr_array) -> "Sizes":
        """Append sizes by their fixed parts [E] and counts [E, G], and another constant 1; others stay."""
        other, offset = Sizes.build(fixed, counts), len(self.fixed)
        return Sizes(
            np.concatenate([self.fixed, other.fixed]),
            np.concatenate([self.rows, other.rows + offset]),
            np.concatenate([self.starts, other.starts + len(self.groups)]),
            np.concatenate([self.counts, other.counts]),
            np.concatenate([self.groups, other.groups]),
        )

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

    def gradient(self, sizes: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Derivatives [N, S] with respect to each size [N, S], of the sum of weighted [N, T] terms where they are."""
        result = np.zeros(sizes.shape)
        columns = range(self.indices.shape[1])
        coefficients = self.coefficients * (np.ones((len(sizes), 1)) if weights is None else weights)
        for column in columns:
            terms = coefficients
            for other in columns:
                if other != column:
                    terms = terms * sizes[:, self.indices[:, other]]
            result += _sum_columns(terms, self.indices[:, column], sizes.shape[1])
        return result


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest sum of the terms that are alive at one time:  max_t Σ_{i alive at t} term_i.

    Attributes:
        begins, ends: place of each term in the order of events: it is alive from `begins` until before `ends` [T].
        order: the terms in the order of events, each one twice [2 T].
        signs: 1 where it begins, -1 where it ends [2 T].
    """

    terms: Polynomial
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    order: NDArray[np.int64]
    signs: NDArray[np.int64]

    @classmethod
    def build(cls, terms: Sequence[tuple[int, Sequence[int]]], lives: Sequence[tuple[int, int]], one: int) -> "Peak":
        """Collect terms as `Polynomial.build`, each with the first and the last time that it is alive."""
        first, last = np.array(lives, np.int64).reshape(-1, 2).T
        order = np.argsort(np.concatenate([2 * first, 2 * last + 1]), kind="stable")
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        count = len(lives)
        signs = np.where(order < count, 1, -1)
        return cls(Polynomial.build(terms, one), places[:count], places[count:], order % max(count, 1), signs)

    def value(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Value for sizes [..., S]."""
        return np.asarray(self._sums(sizes).max(-1, initial=0), np.int64)

    def gradient(self, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Derivatives [N, S] with respect to each size [N, S], of the sum that is the largest."""
        if not len(self.order):
            return np.zeros(sizes.shape)
        when = self._sums(sizes).argmax(-1)[:, None]
        alive = (self.begins <= when) & (when < self.ends)
        return self.terms.gradient(sizes, alive.astype(np.float64))

    def _sums(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sum of the living terms after each event [..., 2 T]."""
        return np.asarray((self.signs * self.terms.terms(sizes)[..., self.order]).cumsum(-1))


def _sum_columns(values: NDArray[np.float64], into: Component, count: int) -> NDArray[np.float64]:
    """Add columns of values [N, K] up into `count` columns: result[n, into[k]] += values[n, k]."""
    flat = np.arange(len(values))[:, None] * count + into
    sums = np.bincount(flat.ravel(), weights=values.ravel(), minlength=len(values) * count)
    return sums.astype(np.float64, copy=False).reshape(len(values), count)
