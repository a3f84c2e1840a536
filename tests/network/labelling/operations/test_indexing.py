"""Operations that take positions of a dimension."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gnnrl.network.reasons import Kind
from tests.network.labelling.operations.between import Case, check_removing, check_units, named


def put(x: Tensor, index: Any, values: Tensor) -> Tensor:
    x = x.clone()
    x[index] = values
    return x


def scatter(x: Tensor, mask: Tensor, features: Tensor) -> Tensor:
    """Put rows of features [rows, C] into x [N, C, H, W] at the columns of a mask."""
    return x.movedim(1, -1).masked_scatter(mask, features).movedim(-1, 1)


def rows_of(x: Tensor) -> Tensor:
    return x.movedim(1, -1).flatten(0, -2)


def odd_columns(x: Tensor) -> Tensor:
    return torch.arange(x.shape[-1])[:, None] % 2 == 1


CASES = {
    "rows put at a mask": Case(lambda x: scatter(x, odd_columns(x), rows_of(x.relu())), 8),
    "rows put at an expanded mask": Case(
        lambda x: scatter(x, odd_columns(x).expand_as(x.movedim(1, -1)), rows_of(x.relu())), 8
    ),
    "elements put at a mask": Case(
        lambda x: scatter(x, odd_columns(x), rows_of(x).flatten()), 0, Kind.PUT_AT_POSITIONS
    ),
    "put in space": Case(lambda x: x.index_put((torch.tensor([0, 1]),), x.relu()), 8),
    "put at pixels": Case(lambda x: put(x, (slice(None), slice(None), [1, 2]), x[:, :, :2]), 8),
    "put into channels": Case(lambda x: put(x, (slice(None), [1]), x[:, :1]), 0, Kind.PUT_AT_POSITIONS),
    "put at a mask": Case(lambda x: x.index_put((x < 0,), torch.zeros(())), 8),
    "parts in space": Case(lambda x: torch.cat(x.hsplit(2), 1) if x.ndim < 4 else torch.cat(torch.dsplit(x, 2), 2), 8),
    "select of channels": Case(lambda x: x - x[:, 0, None], 0, Kind.CONSTANT_POSITIONS),
    "halves by position": Case(lambda x: (lambda y: y[:, 0] * y[:, 1])(x.unflatten(1, (2, -1))), 4),
    "unbind of channels": Case(lambda x: sum(x.unbind(1))[:, None], 0, Kind.CONSTANT_POSITIONS),
    "unpad": Case(lambda x: x[..., 1:-1, 1:-1], 8),
    "first channels": Case(lambda x: x[:, :4], 4, "states this size itself"),
    "index of space": Case(lambda x: x[:, :, torch.tensor([0, 2])], 8),
    "index of channels": Case(lambda x: x[:, torch.tensor([0, 2, 5])], 0, Kind.CONSTANT_POSITIONS),
    "index_select": Case(lambda x: x.index_select(1, torch.tensor([1, 0])), 0, Kind.CONSTANT_POSITIONS),
    "index_select of space": Case(lambda x: x.index_select(2, torch.tensor([1, 0])), 8),
    "select of space": Case(lambda x: x.select(2, 1).flatten(1), 8),
    "last channels": Case(lambda x: x[:, -3:], 5),
    "narrowed space": Case(lambda x: x.narrow(2, 1, 2), 8),
    "narrowed channels": Case(lambda x: x.narrow(1, 5, 3), 0, Kind.STATED_SIZE),
    "middle channels": Case(lambda x: x.narrow(1, 2, 3), 0, Kind.CONSTANT_POSITIONS),
    "every other channel": Case(lambda x: x[:, ::2], 0, Kind.CONSTANT_POSITIONS),
    "halves at run time": Case(lambda x: x[:, : x.shape[1] // 2] * x[:, x.shape[1] // 2 :], 4),
    "unbind": Case(lambda x: torch.cat(x.unflatten(1, (2, -1)).unbind(1)[::-1], 1), 4),
    "chunk": Case(lambda x: torch.maximum(*x.chunk(2, 1)), 4),
    "split": Case(lambda x: (lambda a, b, c, d: torch.cat([d, a * b, c], 1))(*x.split(x.shape[1] // 4, 1)), 2),
    "unequal split": Case(lambda x: (lambda a, b: torch.cat([b, a], 1))(*x.split([3, 5], 1)), 0, Kind.STATED_SIZE),
    "tensor_split of space": Case(lambda x: sum(x.tensor_split(2, 2)), 8),
    "split of space": Case(lambda x: (lambda a, b: a + b)(*x.split(2, 2)), 8),
}


@pytest.mark.parametrize("case", named(CASES))
def test_units_of_a_layer_before_an_operation(case: Case) -> None:
    check_units(case)


@pytest.mark.parametrize("case", named({name: case for name, case in CASES.items() if case.units}))
@pytest.mark.parametrize("seed", [0, 1])
def test_removing_before_an_operation_is_zeroing(case: Case, seed: int) -> None:
    check_removing(case, seed)
