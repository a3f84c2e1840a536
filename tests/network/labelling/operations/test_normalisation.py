"""Normalisations without weights, and softmax."""

import pytest
import torch.nn.functional as F

from gnnrl.network.reasons import Kind
from tests.network.labelling.operations.between import Case, check_removing, check_units, named

CASES = {
    "softmax of channels": Case(lambda x: x.softmax(1), 0, Kind.TAKEN_OVER),
    "softmax inside heads": Case(lambda x: x.unflatten(1, (-1, 4)).softmax(2).flatten(1, 2), 2),
    "softmax over branches": Case(lambda x: x.unflatten(1, (2, -1)).softmax(1).sum(1), 4),
    "softmax of space": Case(lambda x: x.flatten(2).softmax(2).view(x.shape), 8),
    "group norm": Case(lambda x: F.group_norm(x, 2), 4),
    "group norm of single channels": Case(lambda x: F.group_norm(x, x.shape[1]), 8),
    "group norm of a stated number": Case(lambda x: F.group_norm(x, 8), 0, Kind.STATED_SIZE),
    "layer norm of everything": Case(lambda x: F.layer_norm(x, x.shape[1:]), 0, Kind.NORMALISED_TOGETHER),
    "layer norm of space": Case(lambda x: F.layer_norm(x, x.shape[2:]), 8),
    "instance norm": Case(F.instance_norm, 8),
    "batch statistics": Case(lambda x: F.batch_norm(x, None, None, training=True), 8),
}


@pytest.mark.parametrize("case", named(CASES))
def test_units_of_a_layer_before_an_operation(case: Case) -> None:
    check_units(case)


@pytest.mark.parametrize("case", named({name: case for name, case in CASES.items() if case.units}))
@pytest.mark.parametrize("seed", [0, 1])
def test_removing_before_an_operation_is_zeroing(case: Case, seed: int) -> None:
    check_removing(case, seed)
