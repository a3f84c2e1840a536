"""What every search of one network shares: trace, calibration, curves, criterion, repair and reward, prepared once."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from gnnrl.errors import ConfigError, GnnrlWarning, first_line
from gnnrl.executors.serial import SerialExecutor
from gnnrl.executors.table import started
from gnnrl.latency.agreement import Agreement, agree, limits_latency, scaled_onto, uncorrected
from gnnrl.latency.ledger import Ledger
from gnnrl.latency.measurement import measure_latency, time_plans
from gnnrl.modules.copies import copy_network
from gnnrl.network.cost import Constraint
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.network.tracing.admission import check_weights
from gnnrl.network.tracing.tracer import trace, unwrapped
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.calibration.dense import Calibration, calibrate
from gnnrl.pruning.curves import Curve, error_curves
from gnnrl.pruning.importance import CRITERIA
from gnnrl.pruning.importance import importance as score_units
from gnnrl.pruning.plan import Scores, removal_orders
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.reconstruction import find_repair
from gnnrl.pruning.rules import WidthRules
from gnnrl.pruning.unreachable import explain_met
from gnnrl.runs.memory import SearchMemory
from gnnrl.scoring.adapters import as_evaluate
from gnnrl.scoring.plans import Evaluate, Evaluator, Executor, Judge, Memory, Trial, judged
from gnnrl.searchers.task import Searcher, Task, run
from gnnrl.storage.fingerprint import digest_of


@dataclass(frozen=True, slots=True)
class Study:
    """A network with its limit, and everything that is known of it before a search.

    Attributes:
        model: a copy of the dense network, in evaluation mode.
        inputs: example inputs on its device.
        judge: the reward.
        record: what the dense network computes on calibration data.
        curves: error curves of the groups.
        scores: importance of the units.
        orders: removal order of each group's units.
        importance: name of the criterion.
        repair: see `Evaluator`.
        dense: reward of the dense network.
        latency: the limit on latency, if there is one.
        ledger: times that are known.
    """

    model: nn.Module
    inputs: Any
    projection: Projection
    judge: Evaluate
    record: Calibration | None
    curves: list[Curve]
    scores: Scores
    orders: list[Component]
    importance: str
    repair: str
    dense: float
    latency: Constraint | None = None
    ledger: Ledger = field(default_factory=Ledger)

    @classmethod
    def prepare(
        cls,
        model: nn.Module,
        example_inputs: Any,
        constraint: str,
        *,
        evaluate: Evaluate | Iterable[Any],
        calibration: Iterable[Any] | None = None,
        importance: str = "curves",
        repair: str = "ls",
        rules: WidthRules | None = None,
        network: Network | None = None,
        calibration_images: int = 500,
        seed: int = 0,
        device: str | torch.device | None = None,
        begin: Callable[[str], None] = lambda stage: None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        ledger: Ledger | None = None,
    ) -> "Study":
        """Trace, calibrate, judge the dense network, compute error curves; arguments are those of `compress`.

        Where latency is limited, layers are measured, and the model of them is corrected by the closed-form plan.

        Args:
            begin: called with "trace", "latency", "calibrate" and "curves" as they begin.
            progress: called with (channels weighed, channels in all) while error curves are computed.
            ledger: times that are known, where latency is limited.

        Raises:
            GnnrlError: see `gnnrl.errors`. A limit that is met already is warned of.
        """
        judge = as_evaluate(evaluate, example_inputs)
        _check(importance, calibration, repair, rules)
        check_weights(unwrapped(model), network)
        dense = copy_network(unwrapped(model)).eval()
        dense = dense if device is None else _moved(dense, device)
        place = _device(dense)
        inputs = tree_map_only(torch.Tensor, lambda value: value.to(place), example_inputs)
        begin("trace")
        network = network or trace(dense, inputs)
        limit, ledger = limits_latency(constraint), ledger or Ledger()
        if limit is not None:
            network = _timed(dense, network, inputs, ledger, begin)
        projection = _projection(network, constraint, rules)
        begin("calibrate")
        record = None
        if calibration is not None:
            record = calibrate(dense, calibration, images=calibration_images, example_inputs=inputs)
        scores = _scores(dense, network, record, importance, seed)
        score = judged(judge, copy_network(dense), "the dense network")
        begin("curves")
        curves = error_curves(dense, network, record, progress)
        orders = [curve.order for curve in curves] if importance == "curves" else removal_orders(scores)
        known = (record, curves, scores, orders, importance, repair, score)
        return cls(dense, inputs, projection, judge, *known, limit, ledger)._corrected()

    def onto(self, constraint: str, rules: WidthRules | None = None, ledger: Ledger | None = None) -> "Study":
        """The same network with another limit; nothing is traced or calibrated again.

        Args:
            ledger: times that are known, where latency is limited.

        Raises:
            UnreachableConstraint: no plan within the rules meets it.
        """
        limit, network, ledger = limits_latency(constraint), self.network, ledger or Ledger()
        if limit is not None:
            network = _timed(self.model, network, self.inputs, ledger)
        projection = _projection(network, constraint, rules)
        return replace(self, projection=projection, latency=limit, ledger=ledger)._corrected()

    def _corrected(self) -> "Study":
        """The study with a model of the latency that is right for the closed-form plan."""
        return self if self.latency is None else replace(self, projection=self._agreed(self._closed_form).projection)

    @property
    def network(self) -> Network:
        """The network to prune."""
        return self.projection.network

    def on_time(self, widths: Component) -> Agreement | None:
        """Measure a plan, and where it is not as fast as its limit says take the nearest one that is.

        Returns:
            None where latency is not limited.
        """
        if self.latency is None:
            return None
        return self._agreed(lambda onto: widths if onto is self.projection else scaled_onto(onto, widths))

    def _agreed(self, choose: Callable[[Projection], Component]) -> Agreement:
        assert self.latency is not None
        return agree(self.projection, choose, self._milliseconds, relative=self.latency.relative)

    def _closed_form(self, projection: Projection) -> Component:
        return Allocation.build(projection, self.curves).widths()

    def _milliseconds(self, widths: Component) -> tuple[float, float]:
        """Latency of the dense and of the pruned network."""
        plans = np.stack([self.network.widths, widths])
        seconds = time_plans(self.model, self.network, self.inputs, plans, orders=self.orders, ledger=self.ledger)
        dense, pruned = 1e3 * seconds
        return float(dense), float(pruned)

    def evaluator(self, memory: Memory | None = None) -> Evaluator:
        """What judges plans; it has judged none yet."""
        judge = Judge(self.model, self.network, self.judge, self.orders, self.record, self.repair)
        return Evaluator(judge, memory=memory)

    def task(
        self,
        evaluations: int,
        seed: int,
        on_trial: Callable[[Trial], None] | None = None,
        evaluator: Evaluator | None = None,
    ) -> Task:
        """A search; one that has judged nothing yet, or goes on with what an evaluator knows."""
        evaluator = evaluator or self.evaluator()
        return Task(self.projection, evaluator, self.curves, self.scores, evaluations, seed, on_trial)

    def search(
        self,
        searcher: Searcher,
        evaluations: int,
        seed: int,
        on_trial: Callable[[Trial], None] | None = None,
        memory: SearchMemory | None = None,
        executor: Executor | None = None,
    ) -> Evaluator:
        """Search; the evaluator holds the trials.

        Where the evaluations of a run were raised, the search of before is followed by one that knows its trials.

        Args:
            memory: what a run directory remembers of the search.
            executor: where plans are judged; by default here. It is started for the search and closed after it.

        Raises:
            ArtifactError: the journal is of another search.
        """
        evaluator = self.evaluator(memory)
        with started(executor or SerialExecutor(), evaluator.judge) as evaluator.executor:
            for leg, budget in enumerate([evaluations] if memory is None else memory.budgets(evaluations)):
                run(searcher, self.task(budget, _leg_seed(seed, leg), on_trial, evaluator))
        evaluator.executor = None
        if memory is not None:
            memory.check_used(len(evaluator.trials))
            evaluator.memory = None  # what is judged from here on is no part of the search
        return evaluator

    def identity(self) -> dict[str, Any]:
        """What a search is on, as a run directory writes it down: weights, groups, limit, data as far as they show."""
        return {
            "weights": digest_of(self.model),
            "network": self.network.fingerprint,
            "reward of the dense network": self.dense,
            "error curves": [float(curve.error.max()) for curve in self.curves],
        }


def _timed(
    model: nn.Module, network: Network, inputs: Any, ledger: Ledger, begin: Callable[[str], None] = lambda stage: None
) -> Network:
    """The network with the latency that was measured of it, now or before."""
    if "latency" in network.cost.metrics:
        return uncorrected(network)
    begin("latency")
    return measure_latency(model, network, inputs, ledger=ledger)


def _projection(network: Network, constraint: str, rules: WidthRules | None) -> Projection:
    """The projection onto a limit; a warning where the widest plan is within it."""
    projection = Projection.build(network, constraint, rules)
    if projection.holds(projection.widest):
        warnings.warn(explain_met(network, projection.budget), GnnrlWarning, stacklevel=4)
    return projection


def _moved(model: nn.Module, device: str | torch.device) -> nn.Module:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {str(device)!r} cannot be used here ({first_line(error)}); choose another"
        ) from error


def _check(criterion: str, calibration: Iterable[Any] | None, repair: str, rules: object) -> None:
    if rules is not None and not isinstance(rules, WidthRules):
        raise ConfigError(f"rules must be gnnrl.WidthRules(...), got {type(rules).__name__}")
    known = ("curves", *CRITERIA)
    if criterion not in known:
        raise ConfigError(f"unknown importance criterion {criterion!r}; choose one of {', '.join(known)}")
    find_repair(repair)
    if calibration is None and (criterion in ("curves", "taylor") or repair != "none"):
        raise ConfigError(
            f"importance {criterion!r} and repair {repair!r} look at calibration data; give `calibration` (a few "
            "hundred inputs), or choose importance='l2' and repair='none'"
        )


def _scores(model: nn.Module, network: Network, record: Calibration | None, criterion: str, seed: int) -> Scores:
    """The scores of the criterion; for "curves", those of the norms."""
    batches = record.batches() if record is not None and criterion == "taylor" else None
    feed = None if record is None else record.feed
    return score_units("l2" if criterion == "curves" else criterion, model, network, batches, seed, feed)


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _leg_seed(seed: int, leg: int) -> int:
    """The seed of the search that follows so many others."""
    return seed if leg == 0 else int(np.random.SeedSequence([seed, leg]).generate_state(1)[0])
