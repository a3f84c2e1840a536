"""Pooling, and reductions over space and over channels."""

import pytest
import torch.nn.functional as F

from gnnrl.network.reasons import Kind
from tests.network.labelling.operations.between import Case, check_removing, check_units, named

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
