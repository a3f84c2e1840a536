"""Plans that are as fast as a limit says: what the model promises is measured, and corrects the model."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gnnrl.latency.tables import Latency
from gnnrl.network.cost import Constraint, as_constraints
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.pruning.projection import Projection

_ROUNDS = 6
SLACK = 0.03
"""Part of the limit that may be left unused before the model is corrected."""


@dataclass(frozen=True, slots=True)
class LatencyCheck:
    """A plan as the model saw it and as the really pruned network was.

    Attributes:
        limit_ms: what was allowed, in milliseconds of these measurements.
        dense_ms, pruned_ms: medians of interleaved forward passes.
        predicted_ms: what the model promised before it was corrected by this plan.
    """

    limit_ms: float
    dense_ms: float
    pruned_ms: float
    predicted_ms: float

    @property
    def error(self) -> float:
        """Relative error of the model."""
        return self.predicted_ms / self.pruned_ms - 1

    @property
    def used(self) -> float:
        """Share of the limit that the pruned network takes; above 1 it misses the limit."""
        return self.pruned_ms / self.limit_ms

    def facts(self) -> dict[str, float]:
        """JSON values."""
        names = ("limit_ms", "dense_ms", "pruned_ms", "predicted_ms", "error", "used")
        return {name: round(float(getattr(self, name)), 4) for name in names}


@dataclass(frozen=True, slots=True)
class Agreement:
    """A plan that was found to be as fast as its limit says, or as near as it gets.

    Attributes:
        projection: with the corrected model.
        rounds: plans that were measured.
    """

    projection: Projection
    widths: Component
    check: LatencyCheck
    rounds: int


def limits_latency(constraint: str | Sequence[Constraint]) -> Constraint | None:
    """The limit on latency among others, None where there is none."""
    return next((limit for limit in as_constraints(constraint) if limit.metric == "latency"), None)


def agree(
    projection: Projection,
    choose: Callable[[Projection], Component],
    time: Callable[[Component], tuple[float, float]],
    *,
    relative: bool,
) -> Agreement:
    """Correct the model by plans that were measured, until one is as fast as the limit says.

    Args:
        choose: the widths to try within a projection.
        time: milliseconds of the dense network and of the one with these widths, measured in turns.
        relative: the limit is a share of the dense network's latency, so that a machine that is slower now than
            when the layers were measured makes no difference.

    Returns:
        the plan that came closest to the limit from below, or, if none held it, closest.
    """
    tried: list[tuple[Projection, Component, LatencyCheck]] = []
    too_small, too_large = 0.0, math.inf  # factors of the model with which plans were too slow and too fast
    widths = choose(projection)
    while len(tried) < _ROUNDS:
        check = _check(projection, widths, time(widths), relative)
        tried.append((projection, widths, check))
        factor = _form(projection.network).factor
        too_small, too_large = (factor, too_large) if check.used > 1 else (too_small, factor)
        found = factor * check.pruned_ms / check.predicted_ms
        if not too_small < found < too_large:
            found = math.sqrt(too_small * too_large) if too_small else factor
        projection, before = _corrected(projection, found / factor), widths
        if 1 - SLACK <= check.used <= 1 or not projection.holds(projection.narrowest):
            break
        widths = choose(projection)
        if np.array_equal(widths, before):
            break
    return Agreement(*min(tried, key=lambda attempt: _distance(attempt[2].used)), len(tried))


def _distance(used: float) -> float:
    """How far a plan is from using all of a limit; more than that costs twenty times as much as less."""
    return 1 - used if used <= 1 else 20 * (used - 1)


def _check(
    projection: Projection, widths: Component, milliseconds: tuple[float, float], relative: bool
) -> LatencyCheck:
    dense, pruned = map(float, milliseconds)
    network = projection.network
    limit = dict(projection.budget.limits)["latency"]
    predicted = float(network.cost.metric("latency", widths))
    slower = dense / _dense(network) if relative else 1.0
    return LatencyCheck(limit * slower, dense, pruned, predicted * slower)


def _dense(network: Network) -> float:
    """What the model said of the dense network before any correction: the unit of shares."""
    return float(network.cost.metric("latency", network.widths)) / _form(network).factor


def _form(network: Network) -> Latency:
    form = network.cost.metrics["latency"].form
    assert isinstance(form, Latency)
    return form


def _corrected(projection: Projection, factor: float) -> Projection:
    network = projection.network
    return replace(projection, network=_with_form(network, _form(network).corrected(factor)))


def uncorrected(network: Network) -> Network:
    """A network whose latency is what was measured of it, before any plan corrected it: shares are of that."""
    return _with_form(network, replace(_form(network), factor=1.0))


def _with_form(network: Network, form: Latency) -> Network:
    metric = replace(network.cost.metrics["latency"], form=form)
    return replace(network, cost=network.cost.including("latency", metric))


def scaled_onto(projection: Projection, widths: Component) -> Component:
    """The plan nearest to these widths that fills the limit: all groups narrower or wider in common."""
    sizes = projection.network.widths
    return projection.of_family(lambda ratio: np.minimum(widths * ratio, sizes), 0.0, 2.0)
