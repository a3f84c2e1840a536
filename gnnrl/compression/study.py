"""Study: a network with its measurements before any limit, and the searches that start from it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from gnnrl.compression.comparison import Comparison
from gnnrl.compression.contest import Contest
from gnnrl.compression.evidence import Criteria, Evidence
from gnnrl.compression.finishing import finish
from gnnrl.compression.goal import Goal
from gnnrl.compression.observer import Clock, Observer
from gnnrl.compression.progress import Bars, is_watched
from gnnrl.compression.result import CompressionResult
from gnnrl.compression.search import Search
from gnnrl.compression.timing import Timing
from gnnrl.engines.engine import Engine
from gnnrl.errors import ConfigError
from gnnrl.executors.table import find_executor, started
from gnnrl.modules.copies import copy_network, device_of, on_device
from gnnrl.modules.modes import outside_inference
from gnnrl.modules.outputs import Outputs, Places, mark
from gnnrl.moved import warn_renamed
from gnnrl.network.limits import Constraint, name_limit
from gnnrl.network.structure import Network
from gnnrl.network.tracing.admission import check_weights
from gnnrl.network.tracing.tracer import trace, unwrapped
from gnnrl.pruning.rules import WidthRules
from gnnrl.runs.directory import RunDirectory, held
from gnnrl.runs.memory import SearchMemory
from gnnrl.runs.timings import ledger_of
from gnnrl.scoring.adapters import as_evaluate, as_test
from gnnrl.scoring.plans import Evaluate, Executor, Scorer
from gnnrl.searchers.task import Task
from gnnrl.storage.fingerprint import digest_of


class Study:
    """A network, its data, and the measurements of both that need no limit.

        study = gnnrl.Study(model, inputs, evaluate=batches, calibration=batches)
        goal = study.goal("macs<=50%")
        result = study.compress(goal, searcher="ppo", episodes=150)

    Trace, calibration and error curves are computed once, at first use. A `goal` only needs the trace, so an
    unreachable limit is refused before data are read.

    Args:
        model, example_inputs, evaluate, calibration, rules, network, outputs, engines, device: see `gnnrl.compress`;
            `evaluate` and `calibration` may come later, by `provide`.
        observer: object that receives the progress.
        progress: see `gnnrl.compress`; by default there are no lines if an observer is given.
        criteria: `importance`, `repair` and `calibration_images`, see `gnnrl.compress`; `seed` of the criterion
            "random", and of searches without a seed of their own.

    Attributes:
        model, inputs: a copy of the dense network, in evaluation mode, and example inputs on its device.
        calibration: the calibration data, None before they are given.
        clock: seconds of the stages.
    """

    def __init__(
        self,
        model: nn.Module,
        example_inputs: Any,
        *,
        evaluate: Evaluate | Iterable[Any] | None = None,
        calibration: Iterable[Any] | None = None,
        rules: WidthRules | None = None,
        network: Network | None = None,
        outputs: Outputs | None = None,
        engines: Mapping[str, Engine] | None = None,
        device: str | torch.device | None = None,
        observer: Observer | None = None,
        progress: bool | None = None,
        **criteria: Any,
    ) -> None:
        self.rules = WidthRules() if rules is None else rules
        if not isinstance(self.rules, WidthRules):
            raise ConfigError(f"rules must be gnnrl.WidthRules(...), got {type(rules).__name__}")
        self.engines = dict(engines or {})
        self.criteria = Criteria(**criteria)
        self.inputs = example_inputs
        self._evaluate: Evaluate | None = None
        self._doubt: str | None = None
        self._timed: RunDirectory | None = None
        self.calibration: Iterable[Any] | None = None
        if evaluate is not None:
            self.provide(evaluate, calibration)
        progress = observer is None and is_watched() if progress is None else progress
        self.clock = Clock(*filter(None, [observer]), *([Bars()] if progress else []))
        check_weights(unwrapped(model), network)
        with outside_inference():
            dense = copy_network(unwrapped(model)).eval()
            self.model = dense if device is None else on_device(dense, device)
            self.inputs = tree_map_only(torch.Tensor, lambda value: value.to(device_of(self.model)), example_inputs)
        self._network, self._outputs = network, outputs
        if network is not None and outputs is not None:
            raise ConfigError("network= was traced with its own outputs: give outputs= to gnnrl.trace instead")

    @cached_property
    def network(self) -> Network:
        """The traced network, whose model knows from now on which outputs count."""
        with outside_inference(), self.clock.timed("trace"):
            network = self._network or trace(self.model, self.inputs, outputs=self._outputs)
        if network.outputs is not None:
            mark(self.model, Places(network.outputs))
        return network

    @cached_property
    def timing(self) -> Timing:
        """The latency of the network and of its plans, for limits on it."""
        return Timing(self.model, self.network, self.inputs, self.rules, self.engines)

    def provide(
        self, evaluate: Evaluate | Iterable[Any], calibration: Iterable[Any] | None, doubt: str | None = None
    ) -> None:
        """Take the data, before the first search; raise ConfigError if they cannot be used, or are missing.

        Args:
            doubt: why scores say little, "" for no reason; None lets the study find out and warn.
        """
        self._evaluate, self._doubt = as_evaluate(evaluate, self.inputs), doubt
        self.criteria.check(calibration)
        self.calibration = calibration

    @property
    def evaluate(self) -> Evaluate:
        """The function that scores a network; raises ConfigError if it was not given."""
        if self._evaluate is None:
            raise ConfigError("a search needs evaluate=: a function from a network to a score, or batches (x, y)")
        return self._evaluate

    @cached_property
    def evidence(self) -> Evidence:
        """The measurements of the dense network, computed at first use."""
        data = self.evaluate, self.calibration, self._doubt
        with outside_inference():
            return Evidence.gather(self.model, self.network, self.inputs, *data, self.criteria, self.clock)

    def goal(self, constraint: str) -> Goal:
        """Check a limit on this network, and that it can be met; if it limits latency, measure the layers."""
        limits, network = Constraint.parse(constraint), self.network
        for limit in (each for each in limits if each.metric == "latency"):
            with outside_inference():
                network = self.timing.measured(limit, self.clock)
        return Goal.of(str(constraint), limits, network, self.rules)

    def goals(self, constraints: Sequence[str]) -> list[Goal]:
        """Check several limits, each of them once, before anything is searched."""
        names = [name_limit(constraint) for constraint in constraints]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"a sweep needs limits, each of them once; got {', '.join(constraints) or 'none'}")
        return [self.goal(constraint) for constraint in constraints]

    def scorer(self) -> Scorer:
        """Return the object that prunes, repairs and scores one plan."""
        known = self.evidence
        return Scorer(self.model, self.network, self.evaluate, known.orders, known.record, self.criteria.repair)

    def evaluator(self) -> Scorer:
        """Deprecated name of `scorer`."""
        warn_renamed("Study.evaluator", "Study.scorer")
        return self.scorer()

    def task(self, goal: Goal, evaluations: int, seed: int = 0) -> Task:
        """Return the task of a searcher, which starts without scores."""
        known, curves = self.evidence, self.evidence.weighted(goal, self.clock)
        self.clock.expect(evaluations)
        return Task(goal.projection, self.scorer(), curves, known.scores, evaluations, seed, self.clock.judged)

    def compress(
        self,
        goal: Goal | str,
        search: Search | None = None,
        *,
        test: Evaluate | Iterable[Any] | None = None,
        run: str | Path | RunDirectory | None = None,
        **settings: Any,
    ) -> CompressionResult:
        """Search the best plan within a limit, and make the small network.

        Args:
            goal: a goal of this study, or a limit such as `macs<=50%`.
            search: settings of the search; by default `Search(**settings)`, so that `episodes=50` may be given here.
            test, run: see `gnnrl.compress`.
        """
        search = search or Search(**{"seed": self.criteria.seed, **settings})
        self.network  # noqa: B018  # the trace lets the model know which outputs count
        read = None if test is None else as_test(test, self.model, self.inputs)
        with outside_inference(), self.clock, held(run) as directory:
            goal = self._begun(goal, directory)
            known, asked = self.evidence, self.criteria.asked(goal, search)
            self.clock.begin("search")
            memory = None if directory is None else self._memory(directory, search, goal)
            task = search.run(self.task(goal, search.evaluations), memory)
            agreed = self.timing.on_time(goal, np.array(task.best.widths), known.orders)
            final = read or self.evaluate
            return finish(task, self.inputs, goal, agreed, search, final, asked, known.doubt, self.clock)

    def keep_times(self, directory: RunDirectory) -> bool:
        """Use the measured times of a run, and keep new ones there; return False if this is done already."""
        if directory is self._timed:
            return False
        self._timed = directory
        self.timing.use(ledger_of(directory, self.timing.ledger.measured))
        return True

    def _begun(self, goal: Goal | str, directory: RunDirectory | None) -> Goal:
        """Return the goal of a search, with the measured times of its run; gather the evidence."""
        has_other_times = directory is not None and self.keep_times(directory)
        if not isinstance(goal, Goal):
            goal = self.goal(goal)
        elif has_other_times and goal.latency is not None:
            goal = self.goal(goal.constraint)
        goal.check(self.network)
        known = self.evidence
        return self.timing.corrected(goal, known.weighted(goal, self.clock), known.orders)

    def sweep(
        self,
        constraints: Sequence[str],
        *,
        run: str | Path | None = None,
        on_limit: Callable[[str], None] | None = None,
        on_result: Callable[[CompressionResult], None] | None = None,
        **settings: Any,
    ) -> tuple[CompressionResult, ...]:
        """Search several limits; all are checked before the first search.

        Args:
            run: a folder, with a run directory for each limit.
            on_limit, on_result, settings: see `gnnrl.sweep`.
        """
        results = []
        for goal in self.goals(constraints):
            if on_limit:
                on_limit(goal.constraint)
            place = None if run is None else Path(run) / name_limit(goal.constraint)
            results.append(self.compress(goal, run=place, **settings))
            if on_result:
                on_result(results[-1])
        return tuple(results)

    def compare(
        self,
        goal: Goal | str,
        contest: Contest | None = None,
        *,
        test: Evaluate | Iterable[Any] | None = None,
        executor: str | Executor = "serial",
        **settings: Any,
    ) -> Comparison:
        """Run several searchers on one limit.

        Args:
            contest: the searchers; by default `Contest(**settings)`: searchers, seeds, episodes and path.
            test, executor: see `gnnrl.compress`.
        """
        contest = contest or Contest(**settings)
        read, where = None if test is None else as_evaluate(test, self.inputs), find_executor(executor)
        constraint = goal if isinstance(goal, str) else goal.constraint
        asked = {"constraint": constraint, "episodes": contest.episodes, **self._shared}
        before = contest.before(asked)
        goal = self._begun(goal, None)
        comparison = contest.begin(asked | {"network": goal.network.fingerprint}, self.evidence.dense, before)
        with outside_inference(), self.clock:
            with started(where, self.scorer()):
                contest.fill(comparison, partial(self.task, goal), where, self.clock)
            if read is not None:
                self.clock.begin("test")
                contest.read_test(comparison, self.scorer(), read)
        return comparison

    @property
    def _shared(self) -> Mapping[str, object]:
        return {**self.criteria.facts, "rules": asdict(self.rules)}

    def _memory(self, directory: RunDirectory, search: Search, goal: Goal) -> SearchMemory:
        own = {"constraint": goal.constraint, "searcher": search.name, "seed": search.seed}
        directory.identify({**own, **self._shared, **self.identity()})
        return SearchMemory(directory)

    def identity(self) -> Mapping[str, object]:
        """Return facts that identify network and data in a run directory."""
        chosen = self.network.outputs
        return {
            **({} if chosen is None else {"outputs": list(chosen)}),
            "weights": digest_of(self.model),
            "network": self.network.fingerprint,
            "reward of the dense network": self.evidence.dense,
            "error curves": [float(curve.error.max()) for curve in self.evidence.curves],
        }
