from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from gnnrl.pruning.calibration import columns
from gnnrl.pruning.calibration.columns import Column

BATCHES: list[list[Tensor]] = [
    [torch.randn(3, 2, 4), torch.randn(5, 2, 4), torch.randn(1, 2, 4)],
    [torch.arange(3), torch.arange(4)],
    [torch.rand(4, 2) > 0.5, torch.rand(2, 2) > 0.5],
    [torch.randn(3, 2).bfloat16()],
]


@pytest.mark.parametrize("largest", [0, 40, 10**6])
@pytest.mark.parametrize("batches", BATCHES, ids=lambda batches: str(batches[0].dtype))
def test_samples_are_the_same_in_memory_and_in_a_file(
    batches: Sequence[Tensor], largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "IN_MEMORY", largest)
    column = Column()
    for batch in batches:
        column.add(batch)

    assert torch.equal(column.joined(), torch.cat(list(batches)))
