"""The latency of one network and of its plans, measured if a limit needs it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import nn

from gnnrl.compression.goal import Goal
from gnnrl.compression.observer import Clock
from gnnrl.latency.agreement import Agreement, agree, scaled_onto, with_factor
from gnnrl.latency.ledger import Ledger
from gnnrl.latency.measurement import measure_latency, time_plans
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.curves import Curve
from gnnrl.pruning.projection import Projection

Plans = list[Component]
"""Removal order of each group's units, which determines the network of a plan's widths."""


@dataclass(slots=True)
class Timing:
    """The measurements of latency: layers once, and plans as whole networks.

    Attributes:
        model, network, inputs: the dense network, traced, and its example inputs.
        ledger: known times, which are not measured again.
    """

    model: nn.Module
    network: Network
    inputs: Any
    ledger: Ledger = field(default_factory=Ledger)
    _measured: Network | None = None

    def use(self, ledger: Ledger) -> None:
        """Use another ledger from here on."""
        self.ledger, self._measured = ledger, None

    def measured(self, clock: Clock) -> Network:
        """Return the network with its latency as a function of the widths."""
        if "latency" in self.network.cost.metrics:
            return with_factor(self.network)
        if self._measured is None:
            with clock.timed("latency"):
                self._measured = measure_latency(
                    self.model, self.network, self.inputs, progress=clock.advance, ledger=self.ledger
                )
        return self._measured

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
        return self._agreed(goal, lambda onto: widths if onto is goal.projection else scaled_onto(onto, widths), orders)

    def _agreed(self, goal: Goal, choose: Callable[[Projection], Component], orders: Plans) -> Agreement:
        assert goal.latency is not None

        def milliseconds(widths: Component) -> tuple[float, float]:
            """Return the latency of the dense and of the pruned network."""
            plans = np.stack([self.network.widths, widths])
            seconds = time_plans(self.model, self.network, self.inputs, plans, orders=orders, ledger=self.ledger)
            dense, pruned = 1e3 * seconds
            return float(dense), float(pruned)

        return agree(goal.projection, choose, milliseconds, relative=goal.latency.relative)
