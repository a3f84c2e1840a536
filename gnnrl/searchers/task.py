"""The task of a search, the same for every searcher: network, limit, prior, reward, budget of evaluations."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gnnrl.errors import ConfigError
from gnnrl.evaluation import Evaluator, Trial
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.curves import Curve
from gnnrl.pruning.plan import Scores
from gnnrl.pruning.projection import Projection

_CURVE_POINTS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
_PATIENCE = 20
_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)


class BudgetSpent(Exception):
    """All evaluations of a task are used, or nothing new is found; ends a search from wherever it is."""


@dataclass(slots=True)
class Task:
    """What a searcher works on.

    Attributes:
        evaluator: judges widths; holds the trials.
        curves: error curves of the groups.
        scores: importance of the units, for searchers that rank.
        evaluations: reward evaluations that may be used; a plan judged before costs none.
        on_trial: called after every new evaluation.

    A search that meets nothing but known plans, 20 for each of its evaluations in a row, is over: the space is
    exhausted, or the searcher has converged.
    """

    projection: Projection
    evaluator: Evaluator
    curves: Sequence[Curve]
    scores: Scores
    evaluations: int
    seed: int
    on_trial: Callable[[Trial], None] | None = None
    _repeats: int = field(default=0, init=False)

    @property
    def network(self) -> Network:
        """The network to prune."""
        return self.projection.network

    def score(self, widths: Component) -> float:
        """Score of widths [G].

        Raises:
            BudgetSpent: the plan is new and no evaluation is left, or it is one of too many known ones in a row.
        """
        known = self.known(widths)
        if known is not None:
            return known
        if len(self.evaluator.trials) >= self.evaluations:
            raise BudgetSpent
        score = self.evaluator.score(widths)
        if self.on_trial:
            self.on_trial(self.evaluator.trials[-1])
        return score

    def known(self, widths: Component) -> float | None:
        """Score of widths [G] that were judged before, None for new ones.

        Raises:
            BudgetSpent: too many known ones were met in a row.
        """
        known = self.evaluator.known(widths)
        self._repeats = 0 if known is None else self._repeats + 1
        if self._repeats > _PATIENCE * self.evaluations:
            raise BudgetSpent
        return known

    def plan(self, projection: Projection, wish: NDArray[np.float64]) -> Component:
        """Widths [G] of a wish [G]: how much more, as a logarithm, each group's error curve should count."""
        return Allocation.build(projection, self.curves).widths(wish)

    def prior(self, projection: Projection) -> Component:
        """Widths of the closed form [G]: where a search starts."""
        return self.plan(projection, np.zeros(len(self.curves)))

    def signals(self) -> NDArray[np.float32]:
        """What the closed form knows of each group [G, 14]: its error curve, its units' spread, its prior."""
        prior = self.prior(self.projection) / self.network.widths
        worst = max(float(curve.error.max()) for curve in self.curves) or 1.0
        rows = [
            [*_curve_points(curve, worst), *_quantiles(score), ratio, float(curve.error.max() / worst)]
            for curve, score, ratio in zip(self.curves, self.scores, prior, strict=True)
        ]
        return np.array(rows, np.float32)


def _curve_points(curve: Curve, worst: float) -> list[float]:
    positions = [max(round(share * len(curve.error)) - 1, 0) for share in _CURVE_POINTS]
    return [float(np.log1p(1e3 * curve.error[position] / worst) / np.log1p(1e3)) for position in positions]


def _quantiles(score: NDArray[np.float64]) -> list[float]:
    values = np.quantile(score, _QUANTILES) / max(float(np.mean(score)), 1e-30)
    return [float(np.log1p(value)) for value in values]


class Searcher(Protocol):
    """A way to search: judges plans with `task.score` until it is done or `BudgetSpent` ends it.

    The best trial is the result, so a searcher returns nothing. A user's own searcher is any callable like this.
    """

    def __call__(self, task: Task) -> None:
        """Search."""


def run(searcher: Searcher, task: Task) -> Trial:
    """Search until the searcher is done or the budget is spent.

    Raises:
        ConfigError: there is no evaluation to spend.
    """
    if task.evaluations < 1:
        raise ConfigError(f"a search needs at least one evaluation, got {task.evaluations}")
    with suppress(BudgetSpent):
        searcher(task)
    return task.evaluator.best
