"""Comparison of pruned networks with the dense network on calibration images that the repair does not fit.

The last quarter of the calibration images passes through the repair with the others, but no layer is fitted to them.
So the outputs for them are as good as those for unseen images.
"""

import math
import warnings
from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gnnrl.errors import GnnrlWarning
from gnnrl.modules.copies import copy_network
from gnnrl.modules.modes import evaluating
from gnnrl.network.structure import Network
from gnnrl.pruning.calibration.dense import Calibration, numbers_of_images
from gnnrl.pruning.reconstruction import Repair, run_pass


@torch.no_grad()
def held_out_divergences(
    small: nn.Module,
    network: Network,
    kept: Sequence[ArrayLike],
    calibration: Calibration,
    settings: Repair | None,
) -> Tensor:
    """Compare a pruned network's outputs with the dense network's on each held-out image [n].

    Args:
        settings: repair of a copy, which does not see these images; None compares the network as it is.
    """
    fitted, images = calibration.fitted, calibration.images
    if settings is None:
        with evaluating(small):
            outputs = calibration.feed.run(small, [value[fitted:] for value in calibration.inputs])
        found = numbers_of_images(outputs, images - fitted)
    else:
        _, outputs = run_pass(copy_network(small), network, kept, calibration, settings, fitted)
        found = numbers_of_images(outputs, images, fitted)
    return divergences(found, calibration.outputs, images - fitted)


def repair_helps(
    small: nn.Module, network: Network, kept: Sequence[ArrayLike], calibration: Calibration, settings: Repair
) -> bool:
    """Return False, with a warning, if held-out outputs are further from the dense network's after a repair."""
    held = calibration.images - calibration.fitted
    if not held:
        return True
    repaired, pruned = (
        float(held_out_divergences(small, network, kept, calibration, each).mean()) for each in (settings, None)
    )
    if repaired <= pruned or not math.isfinite(pruned):
        return True
    warnings.warn(
        f"the pruned network is not repaired: a repair moves its outputs away from the dense network's on {held} "
        f"calibration samples that the repair did not see ({repaired:.3g} instead of {pruned:.3g}). Give more "
        "calibration data",
        GnnrlWarning,
        stacklevel=3,
    )
    return False


def divergences(found: Sequence[Tensor], dense: Sequence[Tensor], images: int) -> Tensor:
    """Measure the distance of a network's outputs from the dense network's on each image [n].

    For logits [n, classes] this is KL(dense || found) in nats; for other outputs it is the mean squared error over the
    variance. The distances of several outputs are added.
    """
    pairs = [(a.double(), b.double()) for a, b in zip(found, dense, strict=False) if a.shape == b.shape]
    of_each = [_of_logits(a, b) if b.ndim == 2 and b.shape[1] > 1 else _of_values(a, b) for a, b in pairs]
    return sum((each.reshape(images, -1).mean(1) for each in of_each), torch.zeros(images, dtype=torch.float64))


def _of_logits(outputs: Tensor, dense: Tensor) -> Tensor:
    expected, found = dense.log_softmax(-1), outputs.log_softmax(-1)
    return (expected.exp() * (expected - found)).sum(-1)


def _of_values(outputs: Tensor, dense: Tensor) -> Tensor:
    variance = (dense - dense.mean(0)).square().mean().clamp_min(1e-30)
    return (outputs - dense).square().reshape(len(dense), -1).mean(1) / variance
