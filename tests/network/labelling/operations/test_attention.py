"""Matrix products of computed tensors."""

import pytest
import torch

from gnnrl.network.reasons import Kind
from tests.network.labelling.operations.between import Case, check_removing, check_units, named

CASES = {
    "gram": Case(lambda x: x.flatten(2) @ x.flatten(2).transpose(1, 2), 0),
    "positions": Case(lambda x: x.flatten(2).transpose(1, 2) @ x.flatten(2), 8),
    "positions of sigmoids": Case(
        lambda x: x.sigmoid().flatten(2).transpose(1, 2) @ x.sigmoid().flatten(2), 0, Kind.COUNTED
    ),
    "softmax attention": Case(
        lambda x: (lambda t: (t @ t.transpose(1, 2)).softmax(-1) @ t)(x.flatten(2).transpose(1, 2)), 8
    ),
    "a fixed matrix": Case(lambda x: x.flatten(2) @ torch.ones(16, 2), 0),
    "bmm": Case(lambda x: torch.bmm(x.flatten(2).transpose(1, 2), x.flatten(2)), 8),
}


@pytest.mark.parametrize("case", named(CASES))
def test_units_of_a_layer_before_an_operation(case: Case) -> None:
    check_units(case)


@pytest.mark.parametrize("case", named({name: case for name, case in CASES.items() if case.units}))
@pytest.mark.parametrize("seed", [0, 1])
def test_removing_before_an_operation_is_zeroing(case: Case, seed: int) -> None:
    check_removing(case, seed)
