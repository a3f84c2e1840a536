"""An operation that the table does not know."""

import pytest
import torch

from gnnrl.network.reasons import Kind
from tests.network.labelling.operations.between import Case, check_units, named

CASES = {
    "no rule": Case(torch.special.i0, 0, Kind.NO_RULE),
}


@pytest.mark.parametrize("case", named(CASES))
def test_units_of_a_layer_before_an_operation(case: Case) -> None:
    check_units(case)
