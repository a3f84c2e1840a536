"""The task of a search, which is the same for every searcher, and the search itself."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from gnnrl.errors import ConfigError, EvaluationError, GnnrlError
from gnnrl.modules.locations import user_location
from gnnrl.moved import renamed, warn_renamed
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.curves import Curve
from gnnrl.pruning.plan import Scores
from gnnrl.pruning.projection import Projection
from gnnrl.scoring.plans import Executor, Memory, Scorer, Seconds, Trial, Widths, key_of

_CURVE_POINTS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
_PATIENCE = 20
_TOGETHER = 256
_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)


class BudgetSpent(Exception):
    """All evaluations of a task are used, or only known plans are found. It ends the search."""


@dataclass(slots=True)
class Task:
    """A searcher's view of a search.

        def first_two(task: Task) -> None:
            best = task.prior(task.projection)  # widths of the closed form
            task.score(best)
            task.score(task.projection.around(best, np.random.default_rng(task.seed).normal(size=len(best))))

    Plans that do not depend on each other's scores can be scored together: `ask` for each one and then call `tell`, or
    call `score_all`. Trials, scores and the end of the search are the same as with `score`, for every executor.

    The search ends after 20 times `evaluations` known plans in a row, because the space is exhausted or the searcher
    has converged.

    Attributes:
        projection: network, limit and allowed widths.
        scorer: the object that scores one plan.
        curves: error curves of the groups.
        scores: importance of the units.
        evaluations: number of new plans that may be scored.
        seed: seed of the searcher.
        on_trial: function that is called after every trial.
        memory: source of known trials, and destination of new ones.
        executor: place where plans are scored, started with this scorer; None scores them here, one after another.
        trials: all plans that were scored so far, each once.
        seconds: time that was spent on each kind of work.
    """

    projection: Projection
    scorer: Scorer
    curves: Sequence[Curve]
    scores: Scores
    evaluations: int
    seed: int
    on_trial: Callable[[Trial], None] | None = None
    memory: Memory | None = None
    executor: Executor | None = None
    trials: list[Trial] = field(default_factory=list)
    seconds: Seconds = field(default_factory=Seconds)
    _known: dict[Widths, float] = field(default_factory=dict, init=False)
    _repeats: int = field(default=0, init=False)
    _asked: dict[Widths, None] = field(default_factory=dict, init=False)

    @property
    def network(self) -> Network:
        """The network to prune."""
        return self.projection.network

    @property
    def used(self) -> int:
        """Number of evaluations that are spent, including plans that were asked for."""
        return len(self.trials) + len(self._asked)

    @property
    def best(self) -> Trial:
        """The trial with the highest score; the first of equal ones."""
        if not self.trials:
            raise EvaluationError("no plan was scored yet")
        return max(self.trials, key=lambda trial: trial.score)

    @property
    def evaluator(self) -> "Task":
        """Deprecated: the task itself holds trials and scores."""
        warn_renamed("Task.trials", "Task.trials")
        return self

    def score(self, widths: Component) -> float:
        """Score widths [G].

        Raises:
            BudgetSpent: the plan is new and no evaluation is left, or too many known plans came in a row.
        """
        return self.score_all([widths])[0]

    def score_all(self, plans: Sequence[Component]) -> list[float]:
        """Score plans [G] together that do not depend on each other.

        Raises:
            BudgetSpent: as in `score`, for one of the plans; the plans before it are scored.
        """
        for widths in plans:
            self.ask(widths)
        self.tell()
        return [self._known[key_of(widths)] for widths in plans]

    def ask(self, widths: Component) -> None:
        """Ask for the score of widths [G], which is known after `tell` at the latest. Known widths cost nothing.

        Raises:
            BudgetSpent: as in `score`; the plans that were asked for earlier are scored.
            ConfigError: the widths are not a plan within the rules and the limit. The message says why.
        """
        self.projection.check(widths)
        if self.is_known(widths):
            return
        if self.used >= self.evaluations:
            self._end()
        self._asked[key_of(widths)] = None
        if len(self._asked) >= _TOGETHER:
            self.tell()

    def tell(self) -> None:
        """Score all plans that were asked for, together."""
        asked, self._asked = [*self._asked], {}
        with closing(self._scored(asked)) as trials:
            for trial in trials:
                if self.on_trial:
                    self.on_trial(trial)

    def answer(self) -> None:
        """Deprecated name of `tell`."""
        warn_renamed("Task.answer", "Task.tell")
        self.tell()

    def _scored(self, plans: Sequence[Widths]) -> Generator[Trial, None, None]:
        """Score new plans; yield their trials in the order of the plans."""
        rest = deque(plans)
        while rest and self.memory is not None and (trial := self.memory.recall(len(self.trials), rest[0])):
            rest.popleft()
            yield self._add(trial)
        if rest:
            yield from self._compute([*rest])

    def _compute(self, plans: Sequence[Widths]) -> Iterator[Trial]:
        """Score plans that no memory has; a trial is recorded after all trials before it."""
        found = map(self.scorer, plans) if self.executor is None else self.executor.map(plans)
        for key in plans:
            number = len(self.trials)
            try:
                scored = next(found)
            except GnnrlError as error:
                if self.memory is not None:
                    self.memory.fail(number, key, error)
                raise
            self.seconds.add(scored.spent)
            trial = Trial(number, key, scored.score, scored.macs, scored.seconds)
            if self.memory is not None:
                self.memory.record(trial)
            yield self._add(trial)

    def _add(self, trial: Trial) -> Trial:
        self.trials.append(trial)
        self._known[trial.widths] = trial.score
        return trial

    def reward(self, widths: Component | Widths) -> float:
        """Return the score of widths [G], outside the number of evaluations: score them if they are new."""
        key = key_of(widths)
        for _ in self._scored([key] if key not in self._known else []):
            pass
        return self._known[key]

    def is_scored(self, widths: Component) -> bool:
        """Return whether widths [G] were scored; this does not count them as a known plan in a row."""
        return key_of(widths) in self._known

    def is_known(self, widths: Component) -> bool:
        """Return whether widths [G] were scored or asked for; raise BudgetSpent after too many known plans in a row."""
        key = key_of(widths)
        known = key in self._asked or key in self._known
        self._repeats = self._repeats + 1 if known else 0
        if self._repeats > _PATIENCE * self.evaluations:
            self._end()
        return known

    def _end(self) -> NoReturn:
        """Score the plans that were asked for, and end the search."""
        self.tell()
        raise BudgetSpent

    def plan(self, projection: Projection, wish: NDArray[np.float64]) -> Component:
        """Return the widths [G] of a wish [G]: the logarithm of a weight for each group's error curve."""
        return Allocation.build(projection, self.curves).widths(wish)

    def prior(self, projection: Projection) -> Component:
        """Return the widths of the closed form [G], from which a search starts."""
        return self.plan(projection, np.zeros(len(self.curves)))

    def signals(self) -> NDArray[np.float32]:
        """Return features of each group [G, 14]: its error curve, quantiles of its units' importance, its prior."""
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


Searcher = Callable[[Task], None]
"""A function that scores plans of a task until it returns, or until `BudgetSpent` ends it.

The best trial is the result, so a searcher returns nothing. Every such callable can be the user's own searcher.
"""


def search(searcher: Searcher, task: Task) -> Trial:
    """Search until the searcher returns or the evaluations are spent, and return the best trial.

        best = search(find_searcher("ppo"), task)

    Raises:
        ConfigError: see `check_search`; or the user's searcher failed, or asked for a plan that is not allowed.
    """
    check_search(task.evaluations, task.seed)
    task._repeats = 0
    with suppress(BudgetSpent), _blamed(searcher):
        searcher(task)
        task.tell()
    return task.best


__getattr__ = renamed(__name__, {"run": "gnnrl.searchers.task:search"})


@contextmanager
def _blamed(searcher: Searcher) -> Iterator[None]:
    """Name the line at which the user's searcher failed. Errors in gnnrl's own searchers are not changed."""
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
    """Refuse a search without evaluations, and a seed that generators do not accept.

    Raises:
        ConfigError: the number of evaluations is below one, or the seed is out of range.
    """
    if not isinstance(episodes, (int, np.integer)) or episodes < 1:
        raise ConfigError(f"a search needs at least one evaluation, a whole number, got {episodes!r}")
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ConfigError(f"a seed is a whole number from 0 to 2**63 - 1, got {seed!r}")
