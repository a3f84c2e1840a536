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
def held_out_errors(
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
    return output_errors(found, calibration.outputs, images - fitted)


def repair_helps(
    small: nn.Module, network: Network, kept: Sequence[ArrayLike], calibration: Calibration, settings: Repair
) -> bool:
    """Return False, with a warning, if held-out outputs are further from the dense network's after a repair."""
    held = calibration.images - calibration.fitted
    if not held:
        return True
    repaired, pruned = (
        float(held_out_errors(small, network, kept, calibration, each).mean()) for each in (settings, None)
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


def output_errors(found: Sequence[Tensor], dense: Sequence[Tensor], images: int) -> Tensor:
    """Measure the squared error of outputs on each image over the variance of the dense network's, summed [n].

    Logits are compared like all other outputs: their divergence depends on a few images of which the network is unsure,
    and images that it was trained on have fewer of them than others.
    """
    total = torch.zeros(images, dtype=torch.float64)
    for a, b in zip(found, dense, strict=False):
        if a.shape == b.shape:
            variance = (b - b.mean(0)).double().square().mean().clamp_min(1e-30)
            total += ((a - b).double().square().reshape(images, -1).mean(1) / variance).cpu()
    return total
