"""Error curves in the unit of the output.

A curve says what a layer loses. The network's outputs do not feel all layers alike, so each curve gets a weight: the
divergence of the outputs if its group alone is narrowed (`sensitivity`), divided by the error that the curve says. The
weights give a new plan, and that other widths to measure. Whole steps overshoot, so each round goes half of the way.
Of the rounds the one stays whose whole plan is nearest to the dense network on held-out images, if it is nearer than
the closed form by more than chance: by twice the standard error of the difference. Otherwise all weights are one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnrl.network.labels import Component
from gnnrl.network.surgery import remove
from gnnrl.pruning.allocation import WISH_BOUND, Allocation
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.curves import Curve
from gnnrl.pruning.held_out import held_out_divergences
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.reconstruction import Repair
from gnnrl.pruning.sensitivity import Sensitivity

ROUNDS = 2
_STEP = 0.5


@dataclass(frozen=True, slots=True)
class Weighing:
    """Weights of the error curves for one limit.

    Attributes:
        log_weights: logarithm of each curve's weight [G].
        sensitivity: divergence of the outputs with each group alone at its width of the last measured plan [G].
        divergences: of the whole plans on held-out images: that of the closed form, then that of each round.
        chosen: the round whose weights these are; 0 is the closed form.
    """

    log_weights: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    divergences: tuple[float, ...]
    chosen: int = 0

    def curves(self, curves: Sequence[Curve]) -> list[Curve]:
        """The curves times their weights."""
        weights = np.exp(self.log_weights)
        return [replace(curve, error=curve.error * weight) for curve, weight in zip(curves, weights, strict=True)]


def weigh(
    model: nn.Module,
    projection: Projection,
    curves: Sequence[Curve],
    orders: Sequence[Component],
    calibration: Calibration,
    repair: Repair | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Weighing:
    """Weigh error curves for a limit by held-out calibration images; without any, all weights are one.

    Args:
        orders: removal order of each group's units.
        repair: how plans are repaired, None where they are not.
        progress: called with (groups measured, groups in all) within a round.
    """
    network, groups = projection.network, len(curves)
    still = Weighing(np.zeros(groups), np.zeros(groups), (0.0,))
    allocation = Allocation.build(projection, curves)
    widths = allocation.widths()
    if not calibration.outputs or calibration.fitted == calibration.images or (widths == network.widths).all():
        return still

    def missed(widths: Component) -> Tensor:
        plan = Plan.of_widths(network, widths, orders)
        assert plan.kept is not None
        return held_out_divergences(remove(model, network, plan.kept), network, plan.kept, calibration, repair)

    measure = Sensitivity(model, network, orders, calibration, repair)
    tried, found, divergences = [np.zeros(groups)], still.sensitivity, [missed(widths)]
    for _ in range(ROUNDS):
        found = measure(widths, progress).mean(1)
        tried.append(tried[-1] + _STEP * (_ratios(found, allocation.errors_at(widths)) - tried[-1]))
        widths = allocation.widths(tried[-1])
        divergences.append(missed(widths))
    chosen = _chosen(divergences)
    return Weighing(tried[chosen], found, tuple(float(each.mean()) for each in divergences), chosen)


def _chosen(divergences: Sequence[Tensor]) -> int:
    """The round that is nearest, 0 where it is not nearer than the closed form by twice the error of the difference."""
    means = [float(each.mean()) if each.isfinite().all() else np.inf for each in divergences]
    best = int(np.argmin(means))
    gain = divergences[0] - divergences[best]
    if not gain.isfinite().all():
        return best
    return best if float(gain.mean()) > 2 * float(gain.std()) / len(gain) ** 0.5 else 0


def _ratios(found: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of measured over promised errors, about their mean; 0 where nothing is known."""
    known = (found > 0) & (errors > 0) & np.isfinite(found)
    ratios = np.zeros(len(found))
    if known.any():
        logs = np.log(found[known] / errors[known])
        ratios[known] = logs - logs.mean()
    return ratios.clip(-WISH_BOUND, WISH_BOUND)
