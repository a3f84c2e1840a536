"""Equations, and products with vectors."""

import pytest
import torch
from torch import Tensor

from gnnrl.network.labelling.operations.products import letters_of
from gnnrl.network.reasons import Kind
from tests.network.labelling.operations.between import Case, check_removing, check_units, named

GRID = torch.rand(4, 4)


def pair(x: Tensor) -> tuple[Tensor, Tensor]:
    """Positions by channels and channels by positions."""
    return x.flatten(2).transpose(1, 2), x.flatten(2)


CASES = {
    "a vector": Case(lambda x: x.flatten(2) @ torch.ones(16), 8),
    "a vector of channels": Case(lambda x: x.flatten(2).transpose(1, 2) @ torch.ones(8), 0, Kind.FIXED_OPERAND),
    "baddbmm": Case(lambda x: torch.baddbmm(torch.ones(16), *pair(x)), 8),
    "equation": Case(lambda x: torch.einsum("nchw,nchv->nhwv", x, x.relu()).flatten(2), 8),
    "equation of sigmoids": Case(
        lambda x: torch.einsum("nchw,nchv->nhwv", x.sigmoid(), x.sigmoid()).flatten(2), 0, Kind.COUNTED
    ),
    "equation of positions": Case(lambda x: torch.einsum("nchw,hv->ncvw", x, GRID), 8),
    "equation of three": Case(lambda x: torch.einsum("nchw,hv,wu->ncvu", x, GRID, GRID), 8),
    "equation of three that sums": Case(lambda x: torch.einsum("nchw,nchv,hw->nwv", x, x.relu(), GRID)[:, None], 8),
    "equation of three, channel by channel": Case(
        lambda x: torch.einsum("nchw,nchw,nc->nchw", x, x, x.mean((2, 3))), 8
    ),
    "equation with a diagonal": Case(lambda x: torch.einsum("nchh->nch", x)[..., None], 0, Kind.EQUATION),
    "equation with dots": Case(lambda x: torch.einsum("nc...,nc...->n...", x, x.relu())[:, None], 8),
    "equation without an output": Case(lambda x: torch.einsum("abcd,ce", x, GRID), 8),
    "tensordot": Case(lambda x: torch.tensordot(x, GRID, dims=([3], [0])), 8),
}


@pytest.mark.parametrize("case", named(CASES))
def test_units_of_a_layer_before_an_operation(case: Case) -> None:
    check_units(case)


@pytest.mark.parametrize("case", named({name: case for name, case in CASES.items() if case.units}))
@pytest.mark.parametrize("seed", [0, 1])
def test_removing_before_an_operation_is_zeroing(case: Case, seed: int) -> None:
    check_removing(case, seed)


@pytest.mark.parametrize(
    ("equation", "ranks", "terms", "output"),
    [
        ("ij, jk -> ik", [2, 2], ["ij", "jk"], "ik"),
        ("ij,jk", [2, 2], ["ij", "jk"], "ik"),
        ("...ij,...jk->...ik", [4, 3], ["αβij", "βjk"], "αβik"),
        ("b...,b...", [3, 3], ["bαβ", "bαβ"], "αβ"),
    ],
)
def test_an_equation_names_every_dimension(equation: str, ranks: list[int], terms: list[str], output: str) -> None:
    assert letters_of(equation, ranks) == (terms, output)
