"""Plan in, score out: what one reward costs.

The candidate is really pruned, repaired and judged. Every candidate sees the same images (common random numbers), equal
plans are judged once.
"""

import math
import random
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from gnnrl.errors import ConfigError, DataError, EvaluationError, GnnrlError, ResourceError, is_out_of_memory
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.reconstruction import find_repair, repair

Evaluate = Callable[[nn.Module], float]
Widths = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One judged plan.

    Attributes:
        number: how many plans were judged before.
        score: what the user's function returned; higher is better.
        seconds: time of surgery, repair and judgement.
    """

    number: int
    widths: tuple[int, ...]
    score: float
    macs: int
    seconds: float


class Memory(Protocol):
    """What was judged in an earlier process, and where it is written down."""

    def recall(self, number: int, widths: tuple[int, ...]) -> Trial | None:
        """The trial of this number, None for one that was never judged; an error if it had other widths."""

    def record(self, trial: Trial) -> None:
        """Write a trial down."""

    def fail(self, number: int, widths: tuple[int, ...], error: GnnrlError) -> None:
        """Write down that a plan could not be judged."""


@dataclass(slots=True)
class Seconds:
    """Where the time of a search goes.

    Attributes:
        forward: the network's own forward passes, of calibration and reward.
        algebra: the solves of the repair.
        surgery: removing channels.
    """

    forward: float = 0.0
    algebra: float = 0.0
    surgery: float = 0.0

    def add(self, other: "Seconds") -> None:
        """Count the time of another as well."""
        self.forward += other.forward
        self.algebra += other.algebra
        self.surgery += other.surgery


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of one plan, wherever it was judged; `seconds` in all, and what they were `spent` on."""

    score: float
    macs: int
    seconds: float
    spent: Seconds


@dataclass(frozen=True, slots=True)
class Judge:
    """Prunes, repairs and judges candidates of one network: all that an evaluation needs, in whatever process.

    Attributes:
        orders: removal order of each group's units; a plan keeps the last ones.
        calibration: what the dense network computes; needed by every repair but "none".
        repair: "ls" (least squares and batch normalisation), "bn" or "none".
    """

    model: nn.Module
    network: Network
    evaluate: Evaluate
    orders: Sequence[Component]
    calibration: Calibration | None = None
    repair: str = "ls"

    def __post_init__(self) -> None:
        if find_repair(self.repair, self.model) is not None and self.calibration is None:
            raise ConfigError(f"repair {self.repair!r} needs calibration data; give some or choose repair 'none'")

    def plan(self, widths: Component | Sequence[int]) -> Plan:
        """The plan that keeps the most important units at these widths [G]."""
        return Plan.of_widths(self.network, widths, self.orders)

    def build(self, plan: Plan, spent: Seconds) -> nn.Module:
        """Really prune and repair a candidate; the time is counted in `spent`."""
        assert plan.kept is not None
        start = perf_counter()
        small = remove(self.model, self.network, plan.kept)
        spent.surgery += perf_counter() - start
        settings = find_repair(self.repair)
        if settings is not None and self.calibration is not None:
            start = perf_counter()
            algebra = repair(small, self.network, plan.kept, self.calibration, settings)
            spent.algebra += algebra
            spent.forward += perf_counter() - start - algebra
        return small

    def __call__(self, widths: Widths) -> Judgement:
        """Build and judge the plan of these widths.

        Raises:
            EvaluationError, ResourceError: see `judged`.
        """
        begin, spent = perf_counter(), Seconds()
        small = self.build(self.plan(widths), spent)
        start = perf_counter()
        score = judged(self.evaluate, small)
        spent.forward += perf_counter() - start
        macs = self.network.cost.measure(np.array(widths)).macs
        return Judgement(score, macs, perf_counter() - begin, spent)


class Executor(Protocol):
    """Where plans are judged: in this process, in others of this machine, on other machines.

    What comes out does not depend on where, nor on how many work at it. See `gnnrl.executors`.
    """

    def start(self, judge: Judge) -> None:
        """Take what all plans from here on are judged with."""

    def map(self, plans: Sequence[Widths]) -> Iterator[Judgement]:
        """Judge plans, in any order; yield what came of them in theirs.

        Raises:
            GnnrlError: that of the first plan, in the order of the plans, which could not be judged.
        """
        ...

    def close(self) -> None:
        """Leave nothing running; `start` begins anew."""


@dataclass(slots=True)
class Evaluator:
    """Judges plans of one network, each once, and holds what came of them.

    Attributes:
        judge: what plans are judged with.
        trials: all plans judged so far.
        memory: where trials come from before they are judged, and go to.
        executor: where plans are judged, started with this judge; None judges them here, one after another.
    """

    judge: Judge
    trials: list[Trial] = field(default_factory=list)
    seconds: Seconds = field(default_factory=Seconds)
    memory: Memory | None = None
    executor: Executor | None = None
    _scores: dict[Widths, float] = field(default_factory=dict)

    def plan(self, widths: Component | Sequence[int]) -> Plan:
        """The plan that keeps the most important units at these widths [G]."""
        return self.judge.plan(widths)

    def build(self, plan: Plan) -> nn.Module:
        """Really prune and repair a candidate."""
        return self.judge.build(plan, self.seconds)

    def known(self, widths: Component | Sequence[int]) -> float | None:
        """The score of a plan that was judged before."""
        return self._scores.get(key_of(widths))

    def score(self, widths: Component | Sequence[int]) -> float:
        """Score of the plan with these widths [G]; judged once.

        Raises:
            EvaluationError: the user's function failed or returned something that is not a finite number.
        """
        for _ in self.score_all([widths]):
            pass
        return self._scores[key_of(widths)]

    def score_all(self, plans: Iterable[Component | Sequence[int]]) -> Generator[Trial, None, None]:
        """Judge the plans [G] that are new, each once; yield their trials in the order of the plans.

        The executor judges them together. A trial counts and is written down when all before it are.

        Raises:
            EvaluationError: as `score`, of the first plan that it is true of.
        """
        new = [key for key in dict.fromkeys(map(key_of, plans)) if key not in self._scores]
        recalled = 0
        for key in new:
            trial = None if self.memory is None else self.memory.recall(len(self.trials), key)
            if trial is None:
                break
            recalled += 1
            yield self._add(trial)
        yield from self._judged(new[recalled:])

    def _judged(self, plans: Sequence[Widths]) -> Iterator[Trial]:
        if not plans:
            return
        found = map(self.judge, plans) if self.executor is None else self.executor.map(plans)
        for key in plans:
            number = len(self.trials)
            try:
                judgement = next(found)
            except GnnrlError as error:
                if self.memory is not None:
                    self.memory.fail(number, key, error)
                raise
            self.seconds.add(judgement.spent)
            trial = Trial(number, key, judgement.score, judgement.macs, judgement.seconds)
            if self.memory is not None:
                self.memory.record(trial)
            yield self._add(trial)

    def _add(self, trial: Trial) -> Trial:
        self.trials.append(trial)
        self._scores[trial.widths] = trial.score
        return trial

    @property
    def best(self) -> Trial:
        """The trial with the highest score; of equal ones the first."""
        if not self.trials:
            raise EvaluationError("no plan was judged yet")
        return max(self.trials, key=lambda trial: trial.score)


def key_of(widths: Component | Sequence[int]) -> Widths:
    """Widths [G] as plans are told apart by them."""
    return tuple(int(width) for width in widths)


def judged(evaluate: Evaluate, model: nn.Module, what: str = "a pruned network") -> float:
    """Call the user's function and check what it returns; random numbers in it are the same for every network.

    Raises:
        EvaluationError: it failed, or its result is not a finite number.
        DataError: what it reads is unusable, as it says itself.
        ResourceError: it ran out of memory.
    """
    try:
        with _repeatable():
            value: Any = evaluate(model)
        score = float(value)
    except DataError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise ResourceError(
                f"the evaluation of {what} ran out of memory; judge smaller batches: {error}"
            ) from error
        raise EvaluationError(f"the evaluation function failed on {what}: {type(error).__name__}: {error}") from error
    if not math.isfinite(score):
        raise EvaluationError(f"the evaluation function returned {value!r}; it must return a finite number")
    return score


@contextmanager
def _repeatable() -> Iterator[None]:
    """Begin with the same random numbers each time, and leave the global generators as they were."""
    state, numbers = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices):
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(numbers)
