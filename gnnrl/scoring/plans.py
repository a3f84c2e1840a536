"""The score of a plan: its network is built, repaired and scored. All networks see the same random numbers."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from gnnrl.errors import ConfigError, DataError, EvaluationError, GnnrlError, ResourceError, is_out_of_memory
from gnnrl.moved import renamed
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.held_out import StepBack, step_back
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.reconstruction import find_repair, repair

Evaluate = Callable[[nn.Module], float]
Widths = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One scored plan.

    Attributes:
        number: number of plans that were scored before.
        score: the value that the user's function returned; higher is better.
        seconds: time of surgery, repair and scoring.
    """

    number: int
    widths: tuple[int, ...]
    score: float
    macs: int
    seconds: float


class Memory(Protocol):
    """The trials of earlier processes, and the place where new ones are recorded."""

    def recall(self, number: int, widths: tuple[int, ...]) -> Trial | None:
        """Return the trial of this number, None if there is none; raise an error if it had other widths."""

    def record(self, trial: Trial) -> None:
        """Record a trial."""

    def fail(self, number: int, widths: tuple[int, ...], error: GnnrlError) -> None:
        """Record that a plan could not be scored."""


@dataclass(slots=True)
class Seconds:
    """Seconds that a search spends on each kind of work.

    Attributes:
        forward: forward passes of networks, for repair and reward.
        algebra: linear algebra of the repair.
        surgery: removal of channels.
    """

    forward: float = 0.0
    algebra: float = 0.0
    surgery: float = 0.0

    def add(self, other: "Seconds") -> None:
        """Add the times of another."""
        self.forward += other.forward
        self.algebra += other.algebra
        self.surgery += other.surgery


@dataclass(frozen=True, slots=True)
class Scored:
    """The score of one plan, from any process; `seconds` in all, and the work that they were `spent` on."""

    score: float
    macs: int
    seconds: float
    spent: Seconds


@dataclass(frozen=True, slots=True)
class Scorer:
    """An object that prunes, repairs and scores plans of one network, in any process.

    Attributes:
        orders: removal order of each group's units; a plan keeps the last ones.
        calibration: statistics of the dense network, which every repair but "none" needs.
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
        """Return the plan that keeps the most important units at these widths [G]."""
        return Plan.of_widths(self.network, widths, self.orders)

    def step_back(self, small: nn.Module, plan: Plan) -> StepBack:
        """Return the part of the repair of a pruned network that held-out calibration images speak against."""
        settings = find_repair(self.repair)
        if settings is None or self.calibration is None or plan.kept is None:
            return StepBack()
        return step_back(small, self.network, plan.kept, self.calibration, settings)

    def build(self, plan: Plan, spent: Seconds | None = None, but: StepBack | None = None) -> nn.Module:
        """Build the pruned and repaired network of a plan; add the time to `spent`.

        Args:
            but: the part of the repair that is left out.
        """
        assert plan.kept is not None
        spent = spent or Seconds()
        start = perf_counter()
        small = remove(self.model, self.network, plan.kept)
        spent.surgery += perf_counter() - start
        settings = find_repair(self.repair)
        but = but or StepBack()
        if settings is not None and self.calibration is not None and not but.everything:
            start = perf_counter()
            done = repair(small, self.network, plan.kept, self.calibration, settings, left=but.layers)
            spent.algebra += done.algebra_seconds
            spent.forward += perf_counter() - start - done.algebra_seconds
        return small

    def __call__(self, widths: Widths) -> Scored:
        """Build and score the plan of these widths; raise the errors of `score_network`."""
        begin, spent = perf_counter(), Seconds()
        small = self.build(self.plan(widths), spent)
        start = perf_counter()
        score = score_network(self.evaluate, small)
        spent.forward += perf_counter() - start
        macs = self.network.cost.measure(np.array(widths)).macs
        return Scored(score, macs, perf_counter() - begin, spent)


class Executor(Protocol):
    """The place where plans are scored: this process, other processes of this machine, or other machines.

    Scores depend neither on the place nor on the number of workers. See `gnnrl.executors`.
    """

    def start(self, scorer: Scorer) -> None:
        """Take the scorer of all plans that follow."""

    def map(self, plans: Sequence[Widths]) -> Iterator[Scored]:
        """Score plans in any order; yield results, or raise the first error, in the order of the plans."""
        ...

    def close(self) -> None:
        """End all workers; `start` starts them again."""


def key_of(widths: Component | Sequence[int]) -> Widths:
    """Return widths [G] as a key of the plan."""
    return tuple(int(width) for width in widths)


def score_network(evaluate: Evaluate, model: nn.Module, what: str = "a pruned network") -> float:
    """Call the user's function and check its result; its random numbers are the same for every network.

    Raises:
        EvaluationError: the function failed, or its result is not a finite number.
        DataError: the function raised it, because its data are unusable.
        ResourceError: the function ran out of memory.
    """
    try:
        with _repeatable():
            value: Any = evaluate(model)
        score = float(value)
    except DataError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise ResourceError(f"the evaluation of {what} ran out of memory; use smaller batches: {error}") from error
        raise EvaluationError(f"the evaluation function failed on {what}: {type(error).__name__}: {error}") from error
    if not math.isfinite(score):
        raise EvaluationError(f"the evaluation function returned {value!r}; it must return a finite number")
    return score


@contextmanager
def _repeatable() -> Iterator[None]:
    """Start from the same random numbers each time, and restore the global generators."""
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


__getattr__ = renamed(
    __name__,
    {
        "Judge": "gnnrl.scoring.plans:Scorer",
        "Judgement": "gnnrl.scoring.plans:Scored",
        "judged": "gnnrl.scoring.plans:score_network",
    },
)
