"""Whether a repair helps, by images that it does not fit.

The last quarter of the calibration images runs through the repair with the others, but no layer is solved for them.
So what the network computes of them is what it computes of unseen images.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnrl.errors import GnnrlWarning
from gnnrl.modules.copies import copy_network
from gnnrl.modules.modes import evaluating
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.reconstruction import Repair, run_pass


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A repair as held-out images see it.

    Attributes:
        repaired: divergence of the repaired network's outputs from the dense network's on held-out images.
        unrepaired: the same of the network that is only pruned.
        each: divergence of each held-out image, of the repaired network [n].
    """

    repaired: float
    unrepaired: float
    each: Tensor = field(default_factory=lambda: torch.zeros(1))

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
    each = divergences(found, calibration.outputs)
    return HeldOut(float(each.mean()), unrepaired, each)


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


@torch.no_grad()
def plan_divergences(
    model: nn.Module,
    network: Network,
    kept: Sequence[ArrayLike],
    calibration: Calibration,
    settings: Repair | None,
) -> Tensor:
    """Divergence of a plan's outputs from the dense network's on each held-out image, repaired without them."""
    small = remove(model, network, kept)
    if settings is None:
        held = [value[calibration.fitted :] for value in calibration.inputs]
        with evaluating(small):
            return divergences(calibration.feed.run(small, held), calibration.outputs)
    found = look(small, network, kept, calibration, settings)
    return torch.zeros(1) if found is None else found.each


def floating(outputs: object, images: int) -> list[Tensor]:
    """The outputs that are numbers of each image: what a network is compared by."""
    leaves = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
    return [leaf for leaf in leaves if leaf.is_floating_point() and leaf.ndim and len(leaf) % images == 0]


def divergences(outputs: object, dense: Sequence[Tensor]) -> Tensor:
    """How far the outputs of each sample are from the dense network's [n].

    Of logits [n, classes] this is KL(dense || outputs) in nats; of anything else the mean squared error over the
    variance. Of several outputs it is the sum.
    """
    found = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    pairs = [(a.double(), b.double()) for a, b in zip(found, dense, strict=False) if a.shape == b.shape]
    of_each = [_of_logits(a, b) if b.ndim == 2 and b.shape[1] > 1 else _of_values(a, b) for a, b in pairs]
    samples = min((len(each) for each in of_each), default=1)
    return torch.stack([each.reshape(samples, -1).mean(1) for each in of_each]).sum(0) if of_each else torch.zeros(1)


def divergence(outputs: object, dense: Sequence[Tensor]) -> float:
    """The mean of `divergences`."""
    return float(divergences(outputs, dense).mean())


def _of_logits(outputs: Tensor, dense: Tensor) -> Tensor:
    expected, found = dense.log_softmax(-1), outputs.log_softmax(-1)
    return (expected.exp() * (expected - found)).sum(-1)


def _of_values(outputs: Tensor, dense: Tensor) -> Tensor:
    variance = (dense - dense.mean(0)).square().mean().clamp_min(1e-30)
    return (outputs - dense).square().reshape(len(dense), -1).mean(1) / variance
