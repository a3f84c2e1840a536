"""Operations that work element by element."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.network.reasons import Kind
from gnnrl.network.tracing.tracer import trace
from tests.network.labelling.operations.between import Between, Case, check_removing, check_units, named
from tests.topologies import images

CONSTANT = torch.rand(1, 8, 1, 1) + 0.5
GRID = torch.rand(4, 4)


def written(zeros: Tensor, x: Tensor) -> Tensor:
    zeros[:, 0] = x[:, 0]
    return zeros


CASES = {
    "relu": Case(torch.relu, 8),
    "in place": Case(lambda x: x.relu_().mul_(2), 8),
    "chain": Case(lambda x: F.hardswish(F.gelu(x).clamp(-1, 1)).tanh().exp(), 8),
    "scalar": Case(lambda x: 1.0 / (x.abs() + 1) - 3, 8),
    "itself": Case(lambda x: x * x + x, 8),
    "a new tensor": Case(lambda x: x + x.new_ones(2, 1, 4, 4), 8),
    "zeros of its shape": Case(lambda x: x + torch.zeros(x.shape), 8),
    "ones for each channel": Case(lambda x: x * (2 * torch.ones(x.shape[1], dtype=x.dtype)[:, None, None]), 8),
    "new zeros, expanded": Case(lambda x: x - x.new_zeros(1).expand(x.shape), 8),
    "zeros of a stated shape": Case(lambda x: x + torch.zeros(2, 8, 4, 4), 0, Kind.STATED_SIZE),
    "a ramp over channels": Case(lambda x: x * torch.arange(x.shape[1])[:, None, None], 0, Kind.FIXED_OPERAND),
    "zeros that are written": Case(lambda x: x + written(torch.zeros(x.shape), x), 0),
    "both of two masks": Case(lambda x: x * ((x > 0) & (x < 1)), 8),
    "one of two masks": Case(lambda x: x * ((x > 1) | (x < -1)), 8),
    "parts of complex numbers": Case(lambda x: torch.complex(x, 2 * x).abs() + torch.polar(x.abs(), x).imag, 8),
    "quantised": Case(lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 0, -128, 127), 8),
    "buckets": Case(lambda x: torch.bucketize(x, torch.linspace(-1, 1, 5)) * x, 8),
    "log of sigmoid": Case(lambda x: torch.fmax(F.logsigmoid(x), -x.abs()), 8),
    "where": Case(lambda x: torch.where(x > 0, x, -x), 8),
    "masked": Case(lambda x: x.masked_fill(x < 0, 0.5), 8),
    "pixels": Case(lambda x: x * GRID, 8),
    "a constant for each channel": Case(lambda x: x * CONSTANT, 0, Kind.FIXED_OPERAND),
    "dropout": Case(lambda x: F.dropout2d(F.dropout(x, 0.5, False), 0.5, False), 8),
    "glu": Case(lambda x: nn.functional.glu(x, 1), 4),
}


@pytest.mark.parametrize("case", named(CASES))
def test_units_of_a_layer_before_an_operation(case: Case) -> None:
    check_units(case)


@pytest.mark.parametrize("case", named({name: case for name, case in CASES.items() if case.units}))
@pytest.mark.parametrize("seed", [0, 1])
def test_removing_before_an_operation_is_zeroing(case: Case, seed: int) -> None:
    check_removing(case, seed)


def test_a_thousand_operations_in_a_row_are_no_deeper_than_one() -> None:
    def many(x: Tensor) -> Tensor:
        for _ in range(1000):
            x = x + 1
        return x[:, :6]

    network = trace(Between(many).eval(), images(size=4))

    assert any(place.tensor == "make.weight" for group in network.groups for place in group.places)


class Scaled(nn.Module):
    """Channels that are scaled by a table, which is a plain attribute or a buffer."""

    def __init__(self, as_buffer: bool) -> None:
        super().__init__()
        self.make, self.read = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 3, 1)
        table = torch.linspace(0.5, 1.5, 8)[:, None, None]
        if as_buffer:
            self.register_buffer("table", table, persistent=False)
        else:
            self.table = table

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.make(x) * self.table.detach().clone())


def test_a_plain_tensor_is_named_with_what_to_do() -> None:
    network = trace(Scaled(as_buffer=False).eval(), images(size=4))

    (reason,) = {group.reasons[0] for group in network.frozen if group.name == "make"}
    assert reason.kind is Kind.PLAIN_TENSOR
    assert "with table, a tensor that is not a parameter or buffer" in reason.text
    assert "register_buffer" in reason.remedy
    assert [group.size for group in trace(Scaled(as_buffer=True).eval(), images(size=4)).groups] == [8]
