"""Forms of costs: sizes of dimensions as linear functions of widths, polynomials of sizes, and maxima of polynomials.

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
    """Sizes of dimensions,  s = fixed + Σ_g count_g · width_g,  as compressed rows: few groups share a dimension.

    Attributes:
        fixed: number of frozen channels in each dimension [S].
        rows: dimensions that a plan can shorten, ascending.
        starts: index of each of these rows' first entry in `counts` and `groups`.
    """

    fixed: Component
    rows: Component
    starts: Component
    counts: Component
    groups: Component

    @classmethod
    def build(cls, fixed: Component, counts: csr_array) -> "Sizes":
        """Build sizes from counts [S - 1, G], and append the constant size."""
        rows = np.flatnonzero(np.diff(counts.indptr))
        starts, groups = counts.indptr[rows].astype(np.int64), counts.indices.astype(np.int64)
        return cls(np.append(fixed, 1), rows, starts, counts.data, groups)

    def extended(self, fixed: Component, counts: csr_array) -> "Sizes":
        """Append sizes with fixed parts [E] and counts [E, G], and another constant 1."""
        other, offset = Sizes.build(fixed, counts), len(self.fixed)
        return Sizes(
            np.concatenate([self.fixed, other.fixed]),
            np.concatenate([self.rows, other.rows + offset]),
            np.concatenate([self.starts, other.starts + len(self.groups)]),
            np.concatenate([self.counts, other.counts]),
            np.concatenate([self.groups, other.groups]),
        )

    def at(self, widths: Component) -> Component:
        """Return the sizes [..., S] at widths [..., G]."""
        sizes = np.empty((*widths.shape[:-1], len(self.fixed)), np.int64)
        sizes[...] = self.fixed
        sizes[..., self.rows] += np.add.reduceat(self.counts * widths[..., self.groups], self.starts, -1)
        return sizes

    def price(self, gradient: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
        """Turn derivatives with respect to sizes [N, S] into derivatives with respect to widths [N, G]."""
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
        """Build a polynomial from terms (coefficient, indices of sizes); `one` is the index of the constant size."""
        degree = max((len(indices) for _, indices in terms), default=1) or 1
        rows = [[*indices, *([one] * (degree - len(indices)))] for _, indices in terms]
        return cls(
            np.array([coefficient for coefficient, _ in terms], np.int64),
            np.array(rows, np.int64).reshape(len(terms), degree),
        )

    def value(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the value for sizes [..., S]."""
        return np.asarray(self.terms(sizes).sum(-1), np.int64)

    def terms(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the value of each term for sizes [..., S]."""
        product = self.coefficients * sizes[..., self.indices[:, 0]]
        for column in range(1, self.indices.shape[1]):
            product = product * sizes[..., self.indices[:, column]]
        return product

    def gradient(self, sizes: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return derivatives [N, S] with respect to each size [N, S]; `weights` [N, T] multiply the terms."""
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
        begins, ends: events between which each term is alive: from `begins` until before `ends` [T].
        order: the term of each event, every term twice [2 T].
        signs: 1 if the event begins the term's life, -1 if it ends it [2 T].
    """

    terms: Polynomial
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    order: NDArray[np.int64]
    signs: NDArray[np.int64]

    @classmethod
    def build(cls, terms: Sequence[tuple[int, Sequence[int]]], lives: Sequence[tuple[int, int]], one: int) -> "Peak":
        """Build a peak from terms as in `Polynomial.build`, and from the first and last time of each term's life."""
        first, last = np.array(lives, np.int64).reshape(-1, 2).T
        # Sort the events by time: a term begins at 2 · first, and ends at 2 · last + 1, after all beginnings at `last`.
        order = np.argsort(np.concatenate([2 * first, 2 * last + 1]), kind="stable")
        # Invert the permutation: the place of each event in the order.
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        count = len(lives)
        signs = np.where(order < count, 1, -1)
        return cls(Polynomial.build(terms, one), places[:count], places[count:], order % max(count, 1), signs)

    def value(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the value for sizes [..., S]."""
        return np.asarray(self._sums(sizes).max(-1, initial=0), np.int64)

    def gradient(self, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return derivatives [N, S] of the largest sum with respect to each size [N, S]."""
        if not len(self.order):
            return np.zeros(sizes.shape)
        when = self._sums(sizes).argmax(-1)[:, None]
        alive = (self.begins <= when) & (when < self.ends)
        return self.terms.gradient(sizes, alive.astype(np.float64))

    def _sums(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the sum of the living terms after each event [..., 2 T]."""
        return np.asarray((self.signs * self.terms.terms(sizes)[..., self.order]).cumsum(-1))


def _sum_columns(values: NDArray[np.float64], into: Component, count: int) -> NDArray[np.float64]:
    """Sum columns of values [N, K] into `count` columns: result[n, into[k]] += values[n, k]."""
    flat = np.arange(len(values))[:, None] * count + into
    sums = np.bincount(flat.ravel(), weights=values.ravel(), minlength=len(values) * count)
    return sums.astype(np.float64, copy=False).reshape(len(values), count)
