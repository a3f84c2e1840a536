"""Pooling, and reductions over space and over channels."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from gnnrl.network.reasons import Kind
from gnnrl.network.surgery import remove
from gnnrl.pruning.verification import verify
from tests.network.labelling.operations.between import Case, check_removing, check_units, named, traced
from tests.topologies import images


def inside_heads(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    return function(x.unflatten(1, (-1, 4))).flatten(1, 2)


CASES = {
    "mean of space": Case(lambda x: x.mean((2, 3)), 8),
    "sum of space": Case(lambda x: x.sigmoid().sum((2, 3)), 8),
    "var of space": Case(lambda x: x.var((2, 3)), 8),
    "max of space": Case(lambda x: x.amax((2, 3), keepdim=True), 8),
    "max with indices": Case(lambda x: x.max(2).values, 0),
    "mean of channels": Case(lambda x: x.mean(1, keepdim=True), 0, Kind.TAKEN_OVER),
    "sum of channels": Case(lambda x: x.relu().sum(1, keepdim=True), 8),
    "sum of everything": Case(lambda x: x.relu().sum().expand(x.shape[0], 1), 8),
    "norm of channels": Case(lambda x: x.norm(dim=1, keepdim=True), 8),
    "largest of channels": Case(lambda x: x.norm(float("-inf"), 1, keepdim=True), 0, Kind.TAKEN_OVER),
    "unit length": Case(lambda x: F.normalize(x, dim=1), 8),
    "logsumexp of space": Case(lambda x: x.logsumexp((2, 3)), 8),
    "pools": Case(lambda x: F.max_pool2d(x, 2) + F.avg_pool2d(x, 2) + F.adaptive_max_pool2d(x, 2), 8),
    "extremes inside heads": Case(lambda x: inside_heads(x, lambda y: y - y.amax(2, True) + y.amin(2, True)), 2),
    "larger of two": Case(lambda x: torch.max(x, 2 * x).min(x.relu()), 8),
    "unpool": Case(lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), 8),
    "regions": Case(lambda x: roi_align(x, torch.tensor([[0.0, 0.0, 0.0, 2.0, 2.0]] * 2), 2), 8),
    "resize": Case(lambda x: F.interpolate(x, scale_factor=2) + F.interpolate(x, size=(8, 8), mode="bilinear"), 8),
    "pool of channels": Case(lambda x: F.max_pool1d(x.flatten(2).transpose(1, 2), 2), 0, Kind.TAKEN_OVER),
}


@pytest.mark.parametrize("case", named(CASES))
def test_units_of_a_layer_before_an_operation(case: Case) -> None:
    check_units(case)


@pytest.mark.parametrize("case", named({name: case for name, case in CASES.items() if case.units}))
@pytest.mark.parametrize("seed", [0, 1])
def test_removing_before_an_operation_is_zeroing(case: Case, seed: int) -> None:
    check_removing(case, seed)


def centred(x: Tensor) -> Tensor:
    return x - x.mean(1, keepdim=True)


def as_torch(x: Tensor) -> Tensor:
    return F.layer_norm(x.movedim(1, -1), (x.shape[1],), eps=1e-6).movedim(-1, 1)


def root_mean_square(x: Tensor) -> Tensor:
    return F.rms_norm(x.movedim(1, -1), (x.shape[1],), eps=1e-6).movedim(-1, 1)


BY_HAND: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "mean of squares": (lambda x: centred(x) / (centred(x).pow(2).mean(1, keepdim=True) + 1e-6).sqrt(), as_torch),
    "variance": (lambda x: centred(x) * (x.var(1, keepdim=True, unbiased=False) + 1e-6).rsqrt(), as_torch),
    "both at once": (
        lambda x: (lambda var, mean: (x - mean) / (var + 1e-6).sqrt())(
            *torch.var_mean(x, 1, keepdim=True, correction=0)
        ),
        as_torch,
    ),
    "RMSNorm": (
        lambda x: (x * torch.rsqrt(x.float().pow(2).mean(1)[:, None] + 1e-6)).to(x.dtype),
        root_mean_square,
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_normalisations_written_by_hand_leave_out_removed_channels(name: str) -> None:
    by_hand, by_torch = BY_HAND[name]
    outputs = []
    for operation in (by_hand, by_torch):
        model, network = traced(Case(operation, 8))
        check_units(Case(operation, 8))
        small = remove(model, network, [np.array([0, 2, 3, 7])])
        assert verify(model, small, network, [np.array([0, 2, 3, 7])], images(size=4)).difference is not None
        with torch.no_grad():
            outputs.append(small(images(size=4)))

    torch.testing.assert_close(*outputs)
