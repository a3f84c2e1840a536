"""Allocation: division of a budget between groups by their error curves, weighted by a wish.

    min_w  Σ_g e^{a_g} E_g(w_g)   within the budget

E_g is the error curve of group g and a_g a wish: 0 trusts the curve, log 2 lets it count twice. The plan of the wish 0
is the closed form. Solved by bisection of λ in  Σ_g e^{a_g} E_g(w_g) + λ · size(w), the size linearised around the
widths of the last round, so that groups that share a layer see each other (Lagrangian relaxation, Everett 1963,
https://doi.org/10.1287/opre.11.3.399).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnrl.network.labels import Component
from gnnrl.pruning.curves import Curve
from gnnrl.pruning.projection import Projection

WISH_BOUND = 4.0
"""A curve counts at most e⁴ = 55 times, and at least a 55th."""
BEND = 0.3
"""Share of a curve's largest error times the square of the removed share, added to the curve: on a straight stretch no
weight would choose a width between its ends. Rewards of the closed form are the same within noise from 0 to 1."""
_ROUNDS = 4
_HALVINGS = 30
_CHEAPEST, _DEAREST = -35.0, 20.0


def bend(curve: Curve, widths: ArrayLike) -> NDArray[np.float64]:
    """Return the error that is added to a curve at these widths."""
    return np.asarray(BEND * curve.error.max() * (1 - np.asarray(widths) / len(curve.error)) ** 2)


@dataclass(frozen=True, slots=True)
class Allocation:
    """Divides one budget between the groups of one network.

    Attributes:
        errors: share of the largest error of all curves, infinite if a width is not allowed [G, widest].
        whole: limited metrics with their values for the dense network.
    """

    projection: Projection
    errors: NDArray[np.float64]
    whole: tuple[tuple[str, float], ...]

    @classmethod
    def build(cls, projection: Projection, curves: Sequence[Curve]) -> "Allocation":
        """Look up the errors of the allowed widths and bend them."""
        table = np.full((len(curves), max(len(curve.error) for curve in curves)), np.inf)
        worst = max(float(curve.error.max()) for curve in curves) or 1.0
        for row, (curve, ladder) in enumerate(zip(curves, projection.ladders, strict=True)):
            table[row, ladder - 1] = (curve.error[ladder - 1] + bend(curve, ladder)) / worst
        dense = projection.network.cost.measure(projection.network.widths)
        return cls(projection, table, tuple((metric, getattr(dense, metric)) for metric, _ in projection.budget.limits))

    def widths(self, wish: ArrayLike | None = None) -> Component:
        """Return widths [G] for a wish [G], filled up to the limit; without a wish those of the closed form."""
        groups = len(self.errors)
        wishes = np.zeros((1, groups)) if wish is None else np.asarray(wish, np.float64).reshape(1, groups)
        holding, failing = self._between(wishes)
        return self.projection.filled(holding[0], failing[0].astype(np.float64))

    def many(self, wishes: ArrayLike) -> Component:
        """Return widths [N, G] for wishes [N, G] within the budget, not filled up: for estimates."""
        return self._between(np.asarray(wishes, np.float64))[0]

    def errors_at(self, widths: Component) -> NDArray[np.float64]:
        """Return errors [..., G] of legal widths [..., G]."""
        return np.asarray(self.errors[np.arange(len(self.errors)), widths - 1])

    def _between(self, wishes: NDArray[np.float64]) -> tuple[Component, Component]:
        """Return neighbouring optima: the largest within the budget, and the smallest beyond it [N, G]."""
        weighted = np.exp(wishes.clip(-WISH_BOUND, WISH_BOUND))[:, :, None] * self.errors
        dense = np.broadcast_to(self.projection.widest, wishes.shape)
        start = self._price(dense)
        holding, failing = np.broadcast_to(self.projection.narrowest, wishes.shape).copy(), dense.copy()
        fits = self.projection.hold(dense)
        low, high = np.full(len(wishes), _CHEAPEST), np.full(len(wishes), _DEAREST)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            chosen = self._optimum(weighted, np.exp(middle), start)
            holds = self.projection.hold(chosen)
            holding[holds], failing[~holds] = chosen[holds], chosen[~holds]
            low, high = np.where(holds, low, middle), np.where(holds, middle, high)
        holding[fits] = dense[fits]
        return holding, failing

    def _optimum(
        self, weighted: NDArray[np.float64], multiplier: NDArray[np.float64], price: NDArray[np.float64]
    ) -> Component:
        """Return widths [N, G] that minimise  weighted error + multiplier · size  at prices of nearby widths."""
        channels = np.arange(1, weighted.shape[2] + 1)
        chosen = np.empty(weighted.shape[:2], np.int64)
        for round_ in range(_ROUNDS):
            chosen = (weighted + (multiplier[:, None] * price)[:, :, None] * channels).argmin(2) + 1
            if round_ + 1 < _ROUNDS:
                price = (price + self._price(chosen)) / 2
        return chosen

    def _price(self, widths: Component) -> NDArray[np.float64]:
        """Return the cost of one channel as a share of the limited metrics [N, G]."""
        price = self.projection.network.cost.price
        return np.asarray(np.sum([price(metric, widths) / whole for metric, whole in self.whole], axis=0))
