"""Operations that move elements."""

import pytest
import torch
import torch.nn.functional as F

from gnnrl.network.reasons import Kind
from tests.network.labelling.operations.between import Case, check_removing, check_units, named

CASES = {
    "flatten": Case(lambda x: x.flatten(1), 8),
    "view": Case(lambda x: x.view(x.shape[0], -1), 8),
    "reshape there and back": Case(lambda x: x.reshape(x.shape[0], -1, 16).reshape(x.shape[0], -1, 4, 4), 8),
    "channels last": Case(lambda x: x.permute(0, 2, 3, 1), 0, Kind.FIXED_INPUT),
    "tokens": Case(lambda x: x.flatten(2).transpose(1, 2), 8),
    "movedim": Case(lambda x: x.movedim(1, -1).movedim(-1, 1), 8),
    "swapaxes": Case(lambda x: x.swapaxes(2, 3), 8),
    "squeeze": Case(lambda x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1), 8),
    "unsqueeze": Case(lambda x: x.unsqueeze(2).squeeze(2), 8),
    "unflatten": Case(lambda x: x.unflatten(1, (-1, 2)).flatten(1, 2), 4),
    "pairs": Case(lambda x: x.unflatten(1, (-1, 2)).sum(2), 4),
    "halves": Case(lambda x: x.unflatten(1, (2, -1)).sum(1), 4),
    "repeat channels": Case(lambda x: x.repeat(1, 2, 1, 1), 8),
    "repeat space": Case(lambda x: x.repeat(1, 1, 2, 2), 8),
    "tile": Case(lambda x: x.tile(1, 1, 1, 3), 8),
    "expand": Case(lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 4, 4), 8),
    "flip space": Case(lambda x: x.flip(2, 3), 8),
    "roll space": Case(lambda x: x.roll(1, 2), 8),
    "roll channels": Case(lambda x: x.roll(2, 1), 0, Kind.SHIFTED),
    "pad space": Case(lambda x: F.pad(x, (1, 2, 0, 1)), 8),
    "reflect": Case(lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), 8),
    "pad channels": Case(lambda x: F.pad(x, (0, 0, 0, 0, 2, 1)), 8),
    "cat": Case(lambda x: torch.cat([x, x.relu()], 1), 8),
    "cat in space": Case(lambda x: torch.cat([x, x.relu()], 2), 8),
    "cat with fixed channels": Case(
        lambda x: torch.cat([x, torch.ones_like(x[:, 0, None])], 1), 0, Kind.CONSTANT_POSITIONS
    ),
    "stack": Case(lambda x: torch.stack([x, -x], 1).amax(1), 8),
    "stack and flatten": Case(lambda x: torch.stack([x, -x], 2).flatten(1, 2), 8),
    "windows": Case(lambda x: x.unfold(2, 3, 1).mean(-1), 8),
    "windows of channels": Case(lambda x: x.unfold(1, 3, 1).mean(-1), 0, Kind.WORKED_ALONG),
    "complex pairs": Case(
        lambda x: torch.view_as_real(torch.view_as_complex(x.view(2, -1, 4, 2, 2)) * 1j).flatten(3), 8
    ),
    "shuffle": Case(lambda x: F.pixel_shuffle(x, 2), 2),
    "unshuffle": Case(lambda x: F.pixel_unshuffle(x, 2), 8),
}


@pytest.mark.parametrize("case", named(CASES))
def test_units_of_a_layer_before_an_operation(case: Case) -> None:
    check_units(case)


@pytest.mark.parametrize("case", named({name: case for name, case in CASES.items() if case.units}))
@pytest.mark.parametrize("seed", [0, 1])
def test_removing_before_an_operation_is_zeroing(case: Case, seed: int) -> None:
    check_removing(case, seed)
