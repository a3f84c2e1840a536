"""Records that cannot be fitted are refused with the sample or the layer."""

import pytest
import torch
from torch import Tensor, nn

from gnnrl.errors import DataError
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.calibration.records import energy
from tests.topologies import images, traced


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_data_that_are_not_finite_are_refused_with_the_sample(bad: float) -> None:
    broken = images(batch=4)
    broken[1] = bad

    with pytest.raises(DataError, match="hold NaN or infinite numbers, first in sample 5 of 8"):
        calibrate(traced("chain").model, [images(batch=4), broken])


@pytest.mark.parametrize("scale", [1e30, float("nan")])
def test_a_layer_whose_outputs_overflow_is_named(scale: float) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[2].weight.mul_(scale)

    with pytest.raises(
        DataError, match=r"outputs of 2\.weight for the calibration data are NaN, infinite or too large"
    ):
        calibrate(model, [torch.randn(8, 4)])


def test_an_infinite_mask_that_does_no_harm_is_calibrated() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return (self.linear(x) + mask).softmax(-1)

    mask = torch.tensor([0.0, 0.0, -torch.inf]).expand(8, 3)

    assert calibrate(Masked(), [(torch.randn(8, 4), mask)]).images == 8


def test_energy_is_the_mean_square_or_the_variance_of_all_columns() -> None:
    """Columns 1, 3 and 2, 2: squares (1 + 9) / 2 + (4 + 4) / 2; variances 1 and 0."""
    rows = torch.tensor([[1.0, 2.0], [3.0, 2.0]])

    assert energy(rows) == 9.0
    assert energy(rows, centred=True) == 1.0
    assert 0 < energy(torch.zeros(4, 3, dtype=torch.float16)) < 1e-6
