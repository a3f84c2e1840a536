"""Networks that are refused before or after they are traced."""

import copy
import re

import pytest
import torch
from torch import Tensor, nn

from gnnrl.errors import TraceError
from gnnrl.network.tracing.tracer import trace
from tests.network.lines import line_of
from tests.topologies import Head, conv, images, traced


class Selecting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[x.mean((1, 2, 3)) > 0]


class Listing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[torch.nonzero(x[:, 0, 0, 0] > 0).squeeze(1)]


@pytest.mark.parametrize(("part", "line"), [(Selecting, "return x["), (Listing, "torch.nonzero")])
def test_sizes_that_depend_on_data_are_refused_with_the_module_and_the_line(part: type[nn.Module], line: str) -> None:
    model = nn.Sequential(conv(3, 8), part(), Head(8))

    with pytest.raises(TraceError, match="1 of Sequential cannot be traced: the size") as error:
        trace(model, images())

    assert line_of(part, line) in str(error.value)
    assert "torch.where" in str(error.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(bad: float) -> None:
    model = copy.deepcopy(traced("chain").model)
    with torch.no_grad():
        model[2][0].weight[0, 0, 0, 0] = bad

    with pytest.raises(TraceError, match=re.escape("2.0.weight holds NaN or infinite values")):
        trace(model, images())


def test_lazy_modules_are_refused_until_they_are_initialised() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Conv2d(4, 2, 1))

    with pytest.raises(TraceError, match=re.escape("0.weight is not initialised")):
        trace(model, images())
    model(images())

    assert trace(model, images()).group("0").size == 4
