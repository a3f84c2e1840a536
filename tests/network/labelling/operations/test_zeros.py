"""A sum over channels may lose those that count nothing: of a zero channel the operation before leaves zeros."""

import pytest
import torch.nn.functional as F
from torch import Tensor

from gnnrl.network.reasons import Kind
from tests.network.labelling.operations.between import Case, check_removing, check_units, named


def summed(x: Tensor) -> Tensor:
    return x.sum(1, keepdim=True)


CASES = {
    "sum of sigmoids": Case(lambda x: x.sigmoid().sum(1, keepdim=True), 0, Kind.COUNTED),
    "sum of sums": Case(lambda x: (x + 1).sum(1, keepdim=True), 0, Kind.COUNTED),
    "sum of products": Case(lambda x: (x * x.sigmoid()).sum(1, keepdim=True), 8),
    "sum of shifted": Case(lambda x: (x / 2 - x.relu()).sum(1, keepdim=True), 8),
    "sum of clamped": Case(lambda x: x.clamp(min=0.5).sum(1, keepdim=True), 0, Kind.COUNTED),
    "sum of clamped at zero": Case(lambda x: x.clamp(-1, 1).sum(1, keepdim=True), 8),
    "norm of sigmoids": Case(lambda x: x.sigmoid().norm(dim=1, keepdim=True), 0, Kind.COUNTED),
    "sum of squares": Case(lambda x: summed(x**2), 8),
    "sum of reciprocals": Case(lambda x: summed((x.abs() + 0.1) ** -1), 0, Kind.COUNTED),
    "sum of exponentials": Case(lambda x: summed(x.exp()), 0, Kind.COUNTED),
    "sum of logarithms": Case(lambda x: summed(x.relu().log1p()), 8),
    "sum of shares": Case(lambda x: summed(x / (x.abs() + 1)), 8),
    "sum of space": Case(lambda x: summed(F.pad(x.flatten(2).cumsum(2), (1, 0))), 8),
    "sum of padding": Case(lambda x: summed(F.pad(x, (1, 1), value=0.5)), 0, Kind.COUNTED),
}


@pytest.mark.parametrize("case", named(CASES))
def test_units_of_a_layer_before_an_operation(case: Case) -> None:
    check_units(case)


@pytest.mark.parametrize("case", named({name: case for name, case in CASES.items() if case.units}))
@pytest.mark.parametrize("seed", [0, 1])
def test_removing_before_an_operation_is_zeroing(case: Case, seed: int) -> None:
    check_removing(case, seed)
