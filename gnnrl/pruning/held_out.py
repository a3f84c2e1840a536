"""Whether a repair helps, by images that it does not fit.

The last quarter of the calibration images runs through the repair with the others, but no layer is solved for them.
So what the network computes of them is what it computes of unseen images.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnrl.errors import GnnrlWarning
from gnnrl.modules.copies import copy_network
from gnnrl.modules.modes import evaluating
from gnnrl.network.structure import Network
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.reconstruction import Repair, run_pass


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A repair as held-out images see it.

    Attributes:
        repaired: divergence of the repaired network's outputs from the dense network's on held-out images.
        unrepaired: the same of the network that is only pruned.
    """

    repaired: float
    unrepaired: float

    @property
    def helps(self) -> bool:
        """Whether the repair brings unseen outputs nearer to the dense network's."""
        return self.repaired <= self.unrepaired or not math.isfinite(self.unrepaired)


@torch.no_grad()
def look(
    small: nn.Module, network: Network, kept: Sequence[ArrayLike], calibration: Calibration, settings: Repair
) -> HeldOut | None:
    """Repair a copy of a pruned network on some of the calibration images, and look at the others.

    Returns:
        None where there are too few images to hold some out.
    """
    fitted = calibration.fitted
    if fitted == calibration.images:
        return None
    held = [value[fitted:] for value in calibration.inputs]
    with evaluating(small):
        unrepaired = divergence(calibration.feed.run(small, held), calibration.outputs)
    _, outputs = run_pass(copy_network(small), network, kept, calibration, settings, fitted=fitted)
    found = [leaf[fitted:] for leaf in floating(outputs, calibration.images)]
    return HeldOut(divergence(found, calibration.outputs), unrepaired)


def repair_helps(
    small: nn.Module, network: Network, kept: Sequence[ArrayLike], calibration: Calibration, settings: Repair
) -> bool:
    """Whether a repair brings unseen outputs nearer to the dense network's; a warning where it does not."""
    found = look(small, network, kept, calibration, settings)
    if found is None or found.helps:
        return True
    warnings.warn(
        f"the network is left as it was pruned: after a repair its outputs are further from the dense network's on "
        f"{calibration.images - calibration.fitted} calibration samples that the repair did not see "
        f"({found.repaired:.3g} instead of {found.unrepaired:.3g}). Give more calibration data",
        GnnrlWarning,
        stacklevel=3,
    )
    return False


def floating(outputs: object, images: int) -> list[Tensor]:
    """The outputs that are numbers of each image: what a network is compared by."""
    leaves = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
    return [leaf for leaf in leaves if leaf.is_floating_point() and leaf.ndim and len(leaf) % images == 0]


def divergence(outputs: object, dense: Sequence[Tensor]) -> float:
    """How far outputs are from the dense network's.

    Of logits [n, classes] the mean of KL(dense || outputs) in nats; of anything else the mean squared error over the
    variance. Of several outputs the sum.
    """
    found = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    pairs = [(a.double(), b.double()) for a, b in zip(found, dense, strict=False) if a.shape == b.shape]
    return sum(_of_logits(a, b) if b.ndim == 2 and b.shape[1] > 1 else _of_values(a, b) for a, b in pairs)


def _of_logits(outputs: Tensor, dense: Tensor) -> float:
    expected, found = dense.log_softmax(-1), outputs.log_softmax(-1)
    return float((expected.exp() * (expected - found)).sum(-1).mean())


def _of_values(outputs: Tensor, dense: Tensor) -> float:
    variance = (dense - dense.mean(0)).square().mean().clamp_min(1e-30)
    return float((outputs - dense).square().mean() / variance)
