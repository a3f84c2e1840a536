"""The task of a search, the same for every searcher: network, limit, prior, reward, budget of evaluations."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from gnnrl.errors import ConfigError, GnnrlError
from gnnrl.modules.locations import user_location
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.curves import Curve
from gnnrl.pruning.plan import Scores
from gnnrl.pruning.projection import Projection
from gnnrl.scoring.plans import Evaluator, Trial, Widths, key_of

_CURVE_POINTS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
_PATIENCE = 20
_TOGETHER = 256
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

    Plans that do not depend on each other's scores are judged together: `ask` for each, then `answer`, or `score_all`.
    Trials, scores and the end of the search are those of `score` one by one, whoever judges the plans.

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
    _asked: dict[Widths, None] = field(default_factory=dict, init=False)

    @property
    def network(self) -> Network:
        """The network to prune."""
        return self.projection.network

    @property
    def used(self) -> int:
        """Evaluations that are spent: plans that were judged, and those that were asked for."""
        return len(self.evaluator.trials) + len(self._asked)

    def score(self, widths: Component) -> float:
        """Score of widths [G].

        Raises:
            BudgetSpent: the plan is new and no evaluation is left, or it is one of too many known ones in a row.
        """
        return self.score_all([widths])[0]

    def score_all(self, plans: Sequence[Component]) -> list[float]:
        """Scores of plans [G] that do not depend on each other, judged together.

        Raises:
            BudgetSpent: as `score`, for one of them; those before it are judged.
        """
        for widths in plans:
            self.ask(widths)
        self.answer()
        return [self._score_of(widths) for widths in plans]

    def ask(self, widths: Component) -> None:
        """Have widths [G] judged, now or with others that are asked for until `answer`; known ones cost nothing.

        Raises:
            BudgetSpent: as `score`; what was asked for before is judged.
            ConfigError: they are no plan within the rules and the limit; the message says why.
        """
        self.projection.check(widths)
        if self.is_known(widths):
            return
        if self.used >= self.evaluations:
            self._end()
        self._asked[key_of(widths)] = None
        if len(self._asked) >= _TOGETHER:
            self.answer()

    def answer(self) -> None:
        """Judge everything that was asked for."""
        asked, self._asked = [*self._asked], {}
        with closing(self.evaluator.score_all(asked)) as trials:
            for trial in trials:
                if self.on_trial:
                    self.on_trial(trial)

    def is_known(self, widths: Component) -> bool:
        """Whether widths [G] were judged before or asked for.

        Raises:
            BudgetSpent: too many known ones were met in a row.
        """
        known = key_of(widths) in self._asked or self.evaluator.known(widths) is not None
        self._repeats = self._repeats + 1 if known else 0
        if self._repeats > _PATIENCE * self.evaluations:
            self._end()
        return known

    def known(self, widths: Component) -> float | None:
        """Score of widths [G] that were judged before or asked for, None for new ones.

        Raises:
            BudgetSpent: too many known ones were met in a row.
        """
        if not self.is_known(widths):
            return None
        self.answer()
        return self._score_of(widths)

    def _score_of(self, widths: Component) -> float:
        score = self.evaluator.known(widths)
        assert score is not None
        return score

    def _end(self) -> NoReturn:
        """End the search after what was asked for."""
        self.answer()
        raise BudgetSpent

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
    """A way to search: judges plans with `task.score` or `task.score_all` until it is done or `BudgetSpent` ends it.

    The best trial is the result, so a searcher returns nothing. A user's own searcher is any callable like this.
    """

    def __call__(self, task: Task) -> None:
        """Search."""


def run(searcher: Searcher, task: Task) -> Trial:
    """Search until the searcher is done or the budget is spent.

    Raises:
        ConfigError: see `check_search`; or a searcher of the user's failed, or asked for a plan that is not allowed.
    """
    check_search(task.evaluations, task.seed)
    with suppress(BudgetSpent), _blamed(searcher):
        searcher(task)
        task.answer()
    return task.evaluator.best


@contextmanager
def _blamed(searcher: Searcher) -> Iterator[None]:
    """Name the line of a user's own searcher that failed; faults of gnnrl's stay what they are."""
    try:
        yield
    except (GnnrlError, BudgetSpent):
        raise
    except Exception as error:
        if str(getattr(searcher, "__module__", "")).startswith("gnnrl."):
            raise
        name = getattr(searcher, "__name__", type(searcher).__name__)
        raise ConfigError(
            f"the searcher {name} failed at {user_location(error)}: {type(error).__name__}: {error}"
        ) from error


def check_search(episodes: int, seed: int = 0) -> None:
    """Refuse a search without evaluations, and a seed that no generator takes.

    Raises:
        ConfigError: fewer than one, or a number out of range.
    """
    if not isinstance(episodes, (int, np.integer)) or episodes < 1:
        raise ConfigError(f"a search needs at least one evaluation, a whole number, got {episodes!r}")
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ConfigError(f"a seed is a whole number from 0 to 2**63 - 1, got {seed!r}")
