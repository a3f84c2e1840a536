"""Importance criteria: one score for every unit of every group, comparable between groups of one network.

A criterion orders the removal of units; `Plan.ranked` also derives the widths of the groups from it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnrl.errors import ConfigError, DataError
from gnnrl.modules.guarding import own_errors
from gnnrl.modules.modes import evaluating
from gnnrl.network.structure import Group, Network
from gnnrl.pruning.calibration.batches import Feed

_PIECE = 1 << 16
Batches = Iterable[tuple[Tensor, ...]]


@torch.no_grad()
@own_errors("scoring the importance of units")
def importance(
    criterion: str,
    model: nn.Module,
    network: Network,
    batches: Batches | None = None,
    seed: int = 0,
    feed: Feed | None = None,
) -> list[NDArray[np.float64]]:
    """Score all units by a criterion of this name: l1, l2, bn_scale, taylor or random.

    Args:
        batches: labelled images (x, y) of the calibration split; `taylor` needs them.
        feed: the way in which the network takes the inputs, if not one by one.

    Returns:
        One array [units] for each group.

    Raises:
        ConfigError: an unknown criterion, or `taylor` without batches.
    """
    if criterion == "random":
        rng = np.random.default_rng(seed)
        return [rng.random(group.size) for group in network.groups]
    if criterion == "taylor":
        if batches is None:
            raise ConfigError("the criterion taylor needs labelled calibration data; give some or choose l2")
        return _collect(network, _taylor_terms(model, batches, feed or Feed()))
    if criterion == "bn_scale":
        return _bn_scale(model, network)
    if criterion in ("l1", "l2"):
        return _magnitude(model, network, 1 if criterion == "l1" else 2)
    raise ConfigError(f"unknown importance criterion {criterion!r}; choose one of {', '.join(CRITERIA)}")


CRITERIA = ("l1", "l2", "bn_scale", "taylor", "random")


def _collect(
    network: Network, tensors: Mapping[str, Tensor], term: Callable[[Tensor], Tensor] = lambda tensor: tensor
) -> list[NDArray[np.float64]]:
    """Sum elementwise terms over all places of each unit; a tensor is summed once along each dimension."""
    dims: dict[str, set[int]] = {}
    for group in network.groups:
        for place in group.places:
            if place.tensor in tensors:
                dims.setdefault(place.tensor, set()).add(place.dim)
    sums = {
        (name, dim): total
        for name, wanted in dims.items()
        for dim, total in _along(tensors[name], term, sorted(wanted)).items()
    }
    return [_summed(group, sums) for group in network.groups]


def _along(tensor: Tensor, term: Callable[[Tensor], Tensor], dims: Sequence[int]) -> dict[int, NDArray[np.float64]]:
    """Sum terms over all dimensions but one, for each of `dims`, in pieces that stay in the processor's cache."""
    parts: dict[int, list[Tensor]] = {dim: [] for dim in dims}
    for piece in torch.split(tensor, max(1, _PIECE * len(tensor) // max(tensor.numel(), 1))):
        terms = term(piece)
        for dim, found in parts.items():
            others = [other for other in range(terms.ndim) if other != dim]
            found.append((terms.sum(others) if others else terms).double())
    sums = {dim: torch.cat(found) if dim == 0 else torch.stack(found).sum(0) for dim, found in parts.items()}
    return {dim: total.cpu().numpy() for dim, total in sums.items()}


def _summed(group: Group, sums: Mapping[tuple[str, int], NDArray[np.float64]]) -> NDArray[np.float64]:
    total = np.zeros(group.size)
    for place in group.places:
        if (place.tensor, place.dim) in sums:
            total += sums[place.tensor, place.dim][place.positions].sum(1)
    return total


def _magnitude(model: nn.Module, network: Network, order: int) -> list[NDArray[np.float64]]:
    """Compute the norm of all weights of a unit, relative to the mean of its group."""
    weights = {name: tensor for name, tensor in model.named_parameters() if tensor.ndim > 1}
    totals = _collect(network, weights, torch.abs if order == 1 else torch.square)
    scores = [total ** (1 / order) for total in totals]
    return [score / max(score.mean(), 1e-30) for score in scores]


def _bn_scale(model: nn.Module, network: Network) -> list[NDArray[np.float64]]:
    """Compute the mean |γ| of a unit's batch normalisations (Liu et al. 2017); l2 if it has none."""
    scales = {
        operation.parameters["weight"]
        for operation in network.operations
        if operation.name in ("batch_norm", "instance_norm") and "weight" in operation.parameters
    }
    vectors = {name: tensor for name, tensor in model.named_parameters() if name in scales}
    totals, counts = _collect(network, vectors, torch.abs), _collect(network, vectors, torch.ones_like)
    result = []
    for total, count, fallback in zip(totals, counts, _magnitude(model, network, 2), strict=True):
        score = total / count.clip(1)
        result.append(np.where(count > 0, score, fallback * max(float(score.mean()), 1e-3)))
    return result


def _taylor_terms(model: nn.Module, batches: Batches, feed: Feed) -> dict[str, Tensor]:
    """Compute |w · ∂loss/∂w| of every parameter, gradients summed over the calibration data (Molchanov et al. 2019)."""
    parameters = dict(model.named_parameters())
    kept = {name: (parameter.requires_grad, parameter.grad) for name, parameter in parameters.items()}
    seen = 0
    try:
        for parameter in parameters.values():
            parameter.requires_grad_(parameter.is_floating_point())
            parameter.grad = None
        with evaluating(model), torch.enable_grad():
            device = next(iter(parameters.values())).device
            for *inputs, y in batches:
                logits = feed.run(model, [x.to(device) for x in inputs])
                F.cross_entropy(logits.float(), y.to(device)).backward()  # type: ignore[no-untyped-call]
                seen += len(y)
        if not seen:
            raise DataError("the calibration data has no batches, which the criterion taylor needs")
        return {
            name: (parameter.detach() * parameter.grad).abs()
            for name, parameter in parameters.items()
            if parameter.grad is not None
        }
    finally:
        for name, parameter in parameters.items():
            requires_grad, grad = kept[name]
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
