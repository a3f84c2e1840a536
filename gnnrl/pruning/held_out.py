"""Comparison of pruned networks with the dense network on calibration images that the repair does not fit.

No layer is fitted to the last quarter of the calibration images, so the outputs for them are as good as those for
unseen images.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gnnrl.errors import GnnrlWarning
from gnnrl.modules.copies import copy_network
from gnnrl.network.structure import Network
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.reconstruction import Repair, Repaired, repair, unsolved

_CONFIDENT = 1.64
ALL_LAYERS = "all layers"
"""Stands for the names of layers if nothing is repaired."""
_ROUNDING = 1e-8
"""Squared relative error of outputs that differ by the rounding of float32 alone."""


@torch.no_grad()
def held_out_outputs(
    small: nn.Module,
    network: Network,
    kept: Sequence[ArrayLike],
    calibration: Calibration,
    settings: Repair | None,
) -> list[Tensor]:
    """Compute a pruned network's outputs for the held-out images.

    Args:
        settings: repair of a copy, which does not see these images; None runs the network as it is.
    """
    if settings is not None:
        small = copy_network(small)
        repair(small, network, kept, calibration, settings, calibration.fitted)
    return calibration.outputs_of(small, calibration.fitted)


@dataclass(frozen=True, slots=True)
class StepBack:
    """The part of a repair that held-out images speak against.

    Attributes:
        layers: numbers of the layer calls whose solved weights are worse than the old ones.
        names: names of these weights.
        everything: True if the pruned network is nearer to the dense one without any repair.
        unsolved: names of the weights that the repair cannot solve.
    """

    layers: frozenset[int] = frozenset()
    names: tuple[str, ...] = ()
    everything: bool = False
    unsolved: tuple[str, ...] = ()


@torch.no_grad()
def step_back(
    small: nn.Module, network: Network, kept: Sequence[ArrayLike], calibration: Calibration, settings: Repair
) -> StepBack:
    """Repair copies without the held-out images; return the layers, or the whole repair, that these speak against.

    Layers whose solved weights are worse on them are left if the network without these is nearer to the dense one with
    a confidence of 95 %. Warns if nothing is to be repaired.
    """
    held = calibration.images - calibration.fitted
    if not held:
        return StepBack()

    def outputs(left: frozenset[int] | None) -> tuple[list[Tensor], Repaired]:
        trial = copy_network(small)
        done = repair(trial, network, kept, calibration, settings, calibration.fitted, left)
        return calibration.outputs_of(trial, calibration.fitted), done

    found, done = outputs(None)
    layers: frozenset[int] = frozenset()
    if done.worse:
        partly, _ = outputs(done.worse)
        if is_nearer(*(divergences(each, calibration.outputs, held) for each in (partly, found))):
            found, layers = partly, done.worse
    unrepaired = calibration.outputs_of(small, calibration.fitted)
    repaired, pruned = (float(output_errors(each, calibration.outputs, held).mean()) for each in (found, unrepaired))
    if repaired <= max(pruned, _ROUNDING) or not math.isfinite(pruned):
        names = dict.fromkeys(calibration.layers[order].name for order in sorted(layers))
        rest = unsolved(small, network, kept, done.solved) if settings.least_squares else ()
        return StepBack(layers, tuple(names), unsolved=rest)
    warnings.warn(
        f"the pruned network is not repaired: a repair moves its outputs away from the dense network's on {held} "
        f"calibration samples that the repair did not see ({repaired:.3g} instead of {pruned:.3g}). Give more "
        "calibration data",
        GnnrlWarning,
        stacklevel=3,
    )
    return StepBack(names=(ALL_LAYERS,), everything=True)


def is_nearer(errors: Tensor, others: Tensor) -> bool:
    """Return True if errors of images [n] are smaller than others with a confidence of 95 %."""
    gain = others - errors
    return bool(gain.mean() > _CONFIDENT * gain.std() / len(gain) ** 0.5)


def output_errors(found: Sequence[Tensor], dense: Sequence[Tensor], images: int) -> Tensor:
    """Measure the squared error of outputs on each image over the variance of the dense network's, summed [n]."""
    total = torch.zeros(images, dtype=torch.float64)
    for a, b in zip(found, dense, strict=False):
        if a.shape == b.shape:
            variance = (b - b.mean(0)).double().square().mean().clamp_min(1e-30)
            total += ((a - b).double().square().reshape(images, -1).mean(1) / variance).cpu()
    return total


def divergences(found: Sequence[Tensor], dense: Sequence[Tensor], images: int) -> Tensor:
    """Measure KL(dense || found) of logits softened by a temperature of 2 on each image [n]; others by their errors."""
    if len(found) != 1 or found[0].ndim != 2 or found[0].shape[1] < 2:
        return output_errors(found, dense, images)
    wanted, logs = ((outputs[0].double() / 2).log_softmax(-1) for outputs in (dense, found))
    return (wanted.exp() * (wanted - logs)).sum(-1).reshape(images, -1).mean(1).cpu()
