"""Error curves: the error of each group at every width, in closed form, without an evaluation.

The units of a group are read by its consumers (convolutions, linear layers). Let W [O, p] be a consumer's weights and
H = Cov(x) + λI of its inputs, with the λ of the repair (`least_squares.damping`), so that few images do not make
compensation look free. If the inputs `a` of one unit are removed and the others compensate, the error grows by

    ΔE = Σ_o f_o · w_oa ([H⁻¹]_aa)⁻¹ w_oaᵀ        W ← W − W_:a ([H⁻¹]_aa)⁻¹ [H⁻¹]_a:

(Hassibi & Stork 1993; the structured form in Kurtic et al. 2023, https://arxiv.org/abs/2302.04089). Removing the
cheapest unit again and again gives the order of removal and the curve E(width) of the group; with several consumers
the costs add up. f_o = (scale of the normalisation after the output)² / (energy of the tensor it ends in) makes curves
of different layers comparable.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnrl.modules.guarding import own_errors
from gnnrl.network.labels import Component
from gnnrl.network.structure import Group, Network
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.calibration.records import LayerRecord, Moments
from gnnrl.pruning.least_squares import damping


@dataclass(frozen=True, slots=True)
class Curve:
    """Order of removal of a group's units and the error of each width.

    Attributes:
        order: units in the order of their removal [n].
        error: error with w units left at index w - 1 [n]; 0 at the full width, never rising with the width.
        sensitivity: logarithm of what the outputs lose if the group alone is narrowed, over what the curve promises,
            about the mean of all groups; None if it was not measured.
    """

    order: Component
    error: NDArray[np.float64]
    sensitivity: float | None = None


@dataclass(slots=True)
class _Consumer:
    """A layer that reads a group: weights [O, p], inverse [p, p], factors [O] and the inputs of each unit [n, m]."""

    weight: Tensor
    inverse: Tensor
    factor: Tensor
    inputs: Tensor

    def costs(self, units: Tensor) -> Tensor:
        """Return the cost of removing each of these units, on its own."""
        index = self.inputs[units]
        block = torch.linalg.inv(self.inverse[index[:, :, None], index[:, None, :]])
        w = self.weight[:, index] * self.factor.sqrt()[:, None, None]
        return torch.einsum("oai,aij,oaj->a", w, block, w)

    def remove(self, units: Tensor) -> None:
        """Remove the inputs of units [k] and let the others compensate; all at once is the same as one by one."""
        index = self.inputs[units].flatten()
        block = torch.linalg.inv(self.inverse[index[:, None], index])
        rows = block @ self.inverse[index]
        self.weight -= self.weight[:, index] @ rows
        self.inverse -= self.inverse[:, index] @ rows
        self.weight[:, index] = 0
        self.inverse[index, :] = 0
        self.inverse[:, index] = 0
        self.inverse[index, index] = 1


@torch.no_grad()
@own_errors("computing error curves")
def error_curves(
    model: nn.Module,
    network: Network,
    calibration: Calibration | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Curve]:
    """Compute the curves of all groups of a network.

    A group without recorded consumers (only grouped convolutions read it, or layers too wide for the calibration) is
    ordered by the norm of its weights; its curve is their share.

    Args:
        progress: called with (finished channels, all channels).
    """
    weights = {name: parameter.detach().cpu() for name, parameter in model.named_parameters()}
    curves: list[Curve] = []
    total, weighed = sum(group.size for group in network.groups), 0

    def tell(done: int) -> None:
        progress(weighed + done, total)

    for group in network.groups:
        consumers = [] if calibration is None else _consumers(group, weights, calibration)
        curves.append(_curve(group, consumers, tell) if consumers else _by_norm(group, weights))
        tell(group.size)
        weighed += group.size
    return curves


def _curve(group: Group, consumers: list[_Consumer], progress: Callable[[int], None]) -> Curve:
    alive = torch.arange(group.size)
    order: list[int] = []
    error = [0.0]
    at_once = max(1, group.size // 128)
    while len(alive) > 1:
        costs = sum((consumer.costs(alive) for consumer in consumers), torch.zeros(len(alive), dtype=torch.float64))
        chosen = costs.argsort()[: min(at_once, len(alive) - 1)]
        for consumer in consumers:
            consumer.remove(alive[chosen])
        order += alive[chosen].tolist()
        for cost in costs[chosen].tolist():
            error.append(error[-1] + max(cost, 0.0))
        mask = torch.ones(len(alive), dtype=torch.bool)
        mask[chosen] = False
        alive = alive[mask]
        progress(len(order))
    order.append(int(alive[0]))
    return Curve(np.array(order), np.array(error[::-1]))


def _consumers(group: Group, weights: dict[str, Tensor], calibration: Calibration) -> list[_Consumer]:
    found = []
    for place in group.places:
        for record in calibration.of_weight(place.tensor) if place.dim == 1 else []:
            if record.moments is not None:
                whole = weights[place.tensor] if record.weight is None else record.weight.cpu()
                weight = whole[record.first : record.first + len(record.scale)]
                found.append(_consumer(record, record.moments, weight, place.positions, calibration.images))
    return found


def _consumer(record: LayerRecord, moments: Moments, weight: Tensor, positions: Component, images: int) -> _Consumer:
    kernel = weight[0, 0].numel()
    inputs = torch.from_numpy(positions)[:, :, None] * kernel + torch.arange(kernel)
    covariance = moments.covariance.cpu().double()
    strength = damping(len(covariance), min(images, len(record.target)))
    damped = covariance + strength * covariance.diagonal().mean().clamp_min(1e-12) * torch.eye(len(covariance))
    factor = record.scale.cpu().double().square() / record.energy
    return _Consumer(weight.flatten(1).double().clone(), torch.linalg.inv(damped), factor, inputs.flatten(1))


def _by_norm(group: Group, weights: dict[str, Tensor]) -> Curve:
    total = torch.zeros(group.size, dtype=torch.float64)
    for place in group.places:
        if place.tensor in weights and weights[place.tensor].ndim > 1:
            squares = weights[place.tensor].double().square()
            along = squares.sum([dim for dim in range(squares.ndim) if dim != place.dim])
            total += along[torch.from_numpy(place.positions)].sum(1)
    order = total.argsort()
    lost = torch.cumsum(total[order], 0) / total.sum().clamp_min(1e-30)
    return Curve(order.numpy(), np.append(lost[:-1].flip(0).numpy(), 0.0))
