"""Plans that meet a limit on latency: each plan is measured, and the measurement corrects the model of latency."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gnnrl.latency.tables import Latency
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.pruning.projection import Projection

_ROUNDS = 6
SLACK = 0.03
"""Part of the limit that may be left unused before the model is corrected."""


@dataclass(frozen=True, slots=True)
class LatencyCheck:
    """The latency of a plan: the prediction and the measurement of the pruned network.

    Attributes:
        limit_ms: the limit, in milliseconds of these measurements.
        dense_ms, pruned_ms: medians of interleaved forward passes.
        predicted_ms: the prediction of the model before this plan corrected it.
        where: the engine that was measured, its version and precision, the threads and the batch.
    """

    limit_ms: float
    dense_ms: float
    pruned_ms: float
    predicted_ms: float
    where: str = ""

    @property
    def error(self) -> float:
        """Relative error of the model."""
        return self.predicted_ms / self.pruned_ms - 1

    @property
    def used(self) -> float:
        """Share of the limit that the pruned network takes; above 1 it misses the limit."""
        return self.pruned_ms / self.limit_ms

    def facts(self) -> dict[str, float | str]:
        """Return all values as JSON values."""
        names = ("limit_ms", "dense_ms", "pruned_ms", "predicted_ms", "error", "used")
        return {name: round(float(getattr(self, name)), 4) for name in names} | {"where": self.where}


@dataclass(frozen=True, slots=True)
class Agreement:
    """A plan whose measured latency meets the limit, or comes closest to it.

    Attributes:
        projection: the projection with the corrected model.
        rounds: number of measured plans.
    """

    projection: Projection
    widths: Component
    check: LatencyCheck
    rounds: int


def agree(
    projection: Projection,
    choose: Callable[[Projection], Component],
    time: Callable[[Component], tuple[float, float]],
    *,
    relative: bool,
) -> Agreement:
    """Measure plans and correct the model by them, until a plan meets the limit.

    Args:
        choose: function that returns the widths to try within a projection.
        time: function that returns milliseconds of the dense network and of the network with these widths, which
            take turns.
        relative: the limit is a share of the dense network's latency; then it does not matter whether the machine
            is slower now than when the layers were measured.

    Returns:
        The plan that came closest to the limit from below; if no plan met it, the closest one.
    """
    tried: list[tuple[Projection, Component, LatencyCheck]] = []
    too_small, too_large = 0.0, math.inf  # factors of the model with which plans were too slow and too fast
    widths = choose(projection)
    while len(tried) < _ROUNDS:
        check = _check(projection, widths, time(widths), relative)
        tried.append((projection, widths, check))
        factor = _factor(projection.network)
        too_small, too_large = (factor, too_large) if check.used > 1 else (too_small, factor)
        found = factor * check.pruned_ms / check.predicted_ms
        if not too_small < found < too_large:
            found = math.sqrt(too_small * too_large) if too_small else factor
        projection, before = replace(projection, network=with_factor(projection.network, found)), widths
        if 1 - SLACK <= check.used <= 1 or not projection.holds(projection.narrowest):
            break
        widths = choose(projection)
        if np.array_equal(widths, before):
            break
    return Agreement(*min(tried, key=lambda attempt: _distance(attempt[2].used)), len(tried))


def _distance(used: float) -> float:
    """Return the distance of a plan from the limit; a plan above the limit counts twenty times as much."""
    return 1 - used if used <= 1 else 20 * (used - 1)


def _check(
    projection: Projection, widths: Component, milliseconds: tuple[float, float], relative: bool
) -> LatencyCheck:
    dense, pruned = map(float, milliseconds)
    network = projection.network
    limit, predicted = dict(projection.budget.limits)["latency"], float(network.cost.metric("latency", widths))
    # Shares refer to the latency of the dense network before any correction, measured or of the model.
    whole = network.cost.whole("latency", network.widths)
    expected = whole / (1.0 if _form(network).reference else _factor(network))
    slower = dense / expected if relative else 1.0
    return LatencyCheck(limit * slower, dense, pruned, predicted * slower)


def _form(network: Network) -> Latency:
    form = network.cost.metrics["latency"].form
    assert isinstance(form, Latency)
    return form


def _factor(network: Network) -> float:
    return _form(network).factor


def with_factor(network: Network, factor: float = 1.0) -> Network:
    """Return the network with another correction of its model of latency, by default none; shares refer to that."""
    corrected = replace(network.cost.metrics["latency"], form=replace(_form(network), factor=factor))
    return replace(network, cost=network.cost.including("latency", corrected))


def scaled_onto(projection: Projection, widths: Component) -> Component:
    """Return the plan that uses all of the limit, with all of these widths scaled by one factor."""
    sizes = projection.network.widths
    return projection.of_family(lambda ratio: np.minimum(widths * ratio, sizes), 0.0, 2.0)
