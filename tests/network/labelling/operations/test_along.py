"""Operations along a dimension."""

import pytest
import torch
import torch.nn.functional as F

from gnnrl.network.reasons import Kind
from tests.network.labelling.operations.between import Case, check_removing, check_units, named

CASES = {
    "cosine similarity": Case(lambda x: F.cosine_similarity(x, x.relu(), dim=1)[:, None], 8),
    "cumsum of space": Case(lambda x: x.cumsum(2), 8),
    "cumsum of channels": Case(lambda x: x.cumsum(1), 0, Kind.WORKED_ALONG),
    "sort of space": Case(lambda x: x.sort(2).values, 8),
    "sort": Case(lambda x: x.sort(1).values, 0, Kind.WORKED_ALONG),
    "topk of space": Case(lambda x: x.flatten(2).topk(3, 2).values.mean(2), 8),
    "sort inside heads": Case(lambda x: x.unflatten(1, (-1, 4)).sort(2).values.flatten(1, 2), 2),
    "gather of space": Case(lambda x: x.gather(2, torch.zeros_like(x, dtype=torch.long)), 8),
    "gather at one position": Case(lambda x: x.gather(3, torch.zeros(1, 1, 1, 2).long().expand(*x.shape[:3], 2)), 8),
    "sorted by indices": Case(lambda x: x.take_along_dim(x.argsort(-1), -1), 8),
    "differences in space": Case(lambda x: x.diff(dim=-1), 8),
    "turned in space": Case(lambda x: x.rot90(1, (2, 3)), 8),
    "fourier of many": Case(lambda x: torch.fft.irfftn(torch.fft.rfftn(x, dim=(-2, -1)), s=(4, 4), dim=(-2, -1)), 8),
    "differences of channels": Case(lambda x: x.diff(dim=1), 0, Kind.WORKED_ALONG),
    "diagonal of space": Case(lambda x: x.diagonal(0, 2, 3).mean(2), 8),
    "index_add in space": Case(lambda x: x.index_add(2, torch.tensor([1]), x[:, :, :1]), 8),
    "index_add of channels": Case(lambda x: x.index_add(1, torch.tensor([1]), x[:, :1]), 0, Kind.PUT_AT_POSITIONS),
    "scatter in space": Case(lambda x: x.scatter(2, torch.zeros_like(x, dtype=torch.long), x.relu()), 8),
    "tril of space": Case(lambda x: x.tril(), 8),
    "fourier of space": Case(lambda x: torch.fft.rfft2(x).abs(), 8),
    "repeat_interleave": Case(lambda x: x.repeat_interleave(2, 1), 8),
    "patches": Case(lambda x: F.unfold(x, 2, stride=2).transpose(1, 2), 8),
    "patches and back": Case(lambda x: F.fold(F.unfold(x, 2, stride=2), 4, 2, stride=2), 8),
    "channel shuffle": Case(lambda x: F.channel_shuffle(x, 2), 4),
}


@pytest.mark.parametrize("case", named(CASES))
def test_units_of_a_layer_before_an_operation(case: Case) -> None:
    check_units(case)


@pytest.mark.parametrize("case", named({name: case for name, case in CASES.items() if case.units}))
@pytest.mark.parametrize("seed", [0, 1])
def test_removing_before_an_operation_is_zeroing(case: Case, seed: int) -> None:
    check_removing(case, seed)
