"""Weights of the error curves by their effect on the network's outputs.

A curve says what a layer loses, but the outputs do not depend on all layers alike. So each curve gets a weight: the
error of the outputs with its group alone narrowed (`sensitivity`), divided by the error that the curve promises. The
weights give a new plan, and other widths to measure. Whole steps overshoot, so each round goes half of the way. The
round whose whole plan is nearest to the dense network on held-out images is kept, if it is nearer than the closed form
with a confidence of 95 %. Otherwise all weights are one.

Single groups are compared by squared errors of the outputs, which need few images, and whole plans by the divergence of
softened logits, which is nearer to what counts.

Measured in `benchmarks/untrained.py`, see docs/decisions.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnrl.modules.guarding import own_errors
from gnnrl.network.labels import Component
from gnnrl.network.surgery import remove
from gnnrl.pruning.allocation import WISH_BOUND, Allocation, bend
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.curves import Curve
from gnnrl.pruning.held_out import divergences, held_out_outputs, is_nearer
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.reconstruction import Repair
from gnnrl.pruning.sensitivity import Sensitivity

ROUNDS = 2
_LEAST = 0.1


@own_errors("weighting error curves")
def weighted_curves(
    model: nn.Module,
    projection: Projection,
    curves: Sequence[Curve],
    orders: Sequence[Component],
    calibration: Calibration,
    repair: Repair | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Curve]:
    """Weigh error curves for a limit on held-out calibration images; without such images all weights are one.

    Args:
        orders: removal order of each group's units.
        repair: the repair of plans, None if they are not repaired.
        progress: called with (measured groups, all groups) of a round.
    """
    network = projection.network
    allocation = Allocation.build(projection, curves)
    widths = allocation.widths()
    if not calibration.outputs or calibration.fitted == calibration.images or (widths == network.widths).all():
        return list(curves)

    def missed(widths: Component) -> Tensor:
        kept = Plan.of_widths(network, widths, orders).kept
        assert kept is not None
        outputs = held_out_outputs(remove(model, network, kept), network, kept, calibration, repair)
        return divergences(outputs, calibration.outputs, calibration.images - calibration.fitted)

    measure = Sensitivity(model, network, orders, calibration, repair)
    tried, errors, found = [np.zeros(len(curves))], [missed(widths)], list[NDArray[np.float64]]()
    narrowed = widths < network.widths
    for _ in range(ROUNDS):
        found.append(_log_ratios(measure(widths, progress), curves, widths))
        tried.append((tried[-1] + found[-1]) / 2)
        widths = allocation.widths(tried[-1])
        errors.append(missed(widths))
    weights = np.exp(tried[_chosen(errors)])
    return [
        replace(curve, error=curve.error * weight, sensitivity=float(ratio) if measured else None)
        for curve, weight, ratio, measured in zip(curves, weights, found[0], narrowed, strict=True)
    ]


def _chosen(errors: Sequence[Tensor]) -> int:
    """Return the nearest round; 0 if it is not nearer than the closed form beyond the error of the difference."""
    means = [float(each.mean()) if each.isfinite().all() else np.inf for each in errors]
    best = int(np.argmin(means))
    if not (errors[0] - errors[best]).isfinite().all():
        return best
    return best if is_nearer(errors[best], errors[0]) else 0


def _log_ratios(found: NDArray[np.float64], curves: Sequence[Curve], widths: Component) -> NDArray[np.float64]:
    """Return the logarithm of each measured error over the promised one, about their mean; 0 at the dense width.

    A tenth of the curve's bend is added to both, so that a group with errors far below it, such as one that loses dead
    channels, gets the weight one.
    """
    promised = np.array([curve.error[width - 1] for curve, width in zip(curves, widths, strict=True)])
    bends = np.array([_LEAST * bend(curve, width) for curve, width in zip(curves, widths, strict=True)])
    known, ratios = bends > 0, np.zeros(len(curves))
    if found.sum() > 0 and np.isfinite(found).all() and promised.sum() > 0:
        shares = found * promised.sum() / found.sum()
        logs = np.log((shares + bends)[known] / (promised + bends)[known])
        ratios[known] = logs - logs.mean()
    return ratios.clip(-WISH_BOUND, WISH_BOUND)
