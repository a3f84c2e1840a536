"""The latency of one network and of its plans in the engine of a limit, measured if a limit needs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gnnrl.compression.goal import Goal
from gnnrl.compression.observer import Clock
from gnnrl.engines.engine import Engine, Target, time_in_turns
from gnnrl.engines.table import find_target
from gnnrl.latency.agreement import Agreement, agree, scaled_onto, with_factor
from gnnrl.latency.ledger import Ledger, name_of
from gnnrl.latency.measurement import measure_latency, pruned_models, time_plans
from gnnrl.latency.rates import fit_rates, sample_plans
from gnnrl.network.labels import Component
from gnnrl.network.limits import Constraint
from gnnrl.network.structure import Network
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.curves import Curve
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules

Plans = list[Component]
"""Removal order of each group's units, which determines the network of a plan's widths."""
_MILLISECONDS = 1e3
_ROUNDS = 9


@dataclass(slots=True)
class Timing:
    """The measurements of latency: a model of it for each engine, and plans as whole networks.

    Attributes:
        model, network, inputs: the dense network, traced, and its example inputs.
        rules: the widths that plans may choose.
        engines: engines of the user, by the name in the limit.
        ledger: known times, which are not measured again.
    """

    model: nn.Module
    network: Network
    inputs: Any
    rules: WidthRules = field(default_factory=WidthRules)
    engines: Mapping[str, Engine] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    _measured: dict[str, Network] = field(default_factory=dict)

    def use(self, ledger: Ledger) -> None:
        """Use another ledger from here on."""
        self.ledger, self._measured = ledger, {}

    def target(self, limit: Constraint) -> Target | None:
        """Return the engine of a limit; None for PyTorch as it is. Raises ConfigError if it cannot be used."""
        return find_target(limit.engine, self.engines) if limit.engine else None

    def measured(self, limit: Constraint, clock: Clock) -> Network:
        """Return the network with its latency in the engine of a limit as a function of the widths."""
        target = self.target(limit)
        if target is None and "latency" in self.network.cost.metrics:
            return with_factor(self.network)
        if limit.engine not in self._measured:
            with clock.timed("latency"):
                self._measured[limit.engine] = (
                    measure_latency(self.model, self.network, self.inputs, progress=clock.advance, ledger=self.ledger)
                    if target is None
                    else self._fitted(target, clock)
                )
        return self._measured[limit.engine]

    def _fitted(self, target: Target, clock: Clock) -> Network:
        """Time a dozen whole networks in an engine, and fit a model of its latency to them."""
        plans = sample_plans(self.network, self.rules.ladders(self.network))
        orders = [np.arange(width) for width in self.network.widths]
        dense, *times = _MILLISECONDS * self._seconds(target, plans, orders, clock.advance)
        metric = fit_rates(self.network, plans, np.array(times), float(dense))
        return replace(self.network, cost=self.network.cost.including("latency", metric))

    def _seconds(
        self,
        target: Target,
        plans: NDArray[np.int64],
        orders: Plans,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> NDArray[np.float64]:
        """Return the seconds of the dense network in fp32, and of each plan [N, G] in the precision of the target."""

        def measure() -> NDArray[np.float64]:
            models = [self.model, *pruned_models(self.model, self.network, plans, orders)]
            targets = [replace(target, precision=target.reference), *[target] * len(plans)]
            built = []
            for place, model in zip(targets, models, strict=True):
                built.append(place.build(model, self.inputs))
                progress(len(built), len(models))
            return time_in_turns(targets, built, _ROUNDS)

        return self.ledger.seconds(name_of(f"plans in {target}", plans.tolist()), 1 + len(plans), measure)

    def corrected(self, goal: Goal, curves: list[Curve], orders: Plans) -> Goal:
        """Return the goal with a model of latency that a measurement of the closed-form plan has corrected."""
        if goal.latency is None:
            return goal
        agreed = self._agreed(goal, lambda onto: Allocation.build(onto, curves).widths(), orders)
        return replace(goal, projection=agreed.projection)

    def on_time(self, goal: Goal, widths: Component, orders: Plans) -> Agreement | None:
        """Measure a plan; if it misses the limit, find the nearest that meets it. None if latency is not limited."""
        if goal.latency is None:
            return None
        found = self._agreed(
            goal, lambda onto: widths if onto is goal.projection else scaled_onto(onto, widths), orders
        )
        target = self.target(goal.latency) or find_target("eager")
        return replace(found, check=replace(found.check, where=target.describe(self.inputs)))

    def _agreed(self, goal: Goal, choose: Callable[[Projection], Component], orders: Plans) -> Agreement:
        assert goal.latency is not None
        target = self.target(goal.latency)

        def milliseconds(widths: Component) -> tuple[float, float]:
            """Return the latency of the dense and of the pruned network."""
            if target is None:
                plans = np.stack([self.network.widths, widths])
                seconds = time_plans(self.model, self.network, self.inputs, plans, orders=orders, ledger=self.ledger)
            else:
                seconds = self._seconds(target, widths[None], orders)
            dense, pruned = _MILLISECONDS * seconds
            return float(dense), float(pruned)

        return agree(goal.projection, choose, milliseconds, relative=goal.latency.relative)
