"""What one run over the program with labels collects."""

import copy

import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.reasons import Kind
from gnnrl.network.tracing.tracer import trace
from tests.network.lines import line_of
from tests.topologies import Head, Traced, conv, images, traced


class Bessel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.inner = Inner()
        self.head = Head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inner(self.stem(x)))


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.i0(x)


def test_an_operation_without_a_rule_freezes_what_it_touches_and_says_where() -> None:
    network = trace(Bessel(), images())

    assert not network.groups
    frozen = next(group for group in network.frozen if group.name == "stem.0")
    assert frozen.size == 8
    reason = frozen.reasons[0]
    assert reason.kind is Kind.NO_RULE
    assert (reason.operation, reason.module) == ("special_i0", "inner")
    assert reason.location == line_of(Inner, "special.i0")


def test_the_inputs_and_outputs_of_the_network_are_never_pruned(case: Traced) -> None:
    for group in case.network.groups:
        assert group.size > 0
    output = [group for group in case.network.frozen if any(reason.kind is Kind.OUTPUT for reason in group.reasons)]

    assert case.name in {"without_rule", "maxout"} or output


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (0, 1, 3, 2)])
def test_a_network_may_return_what_permute_gives(order: tuple[int, ...]) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3))
    model.register_forward_hook(lambda _, inputs, output: output.permute(order))

    assert [group.size for group in trace(model, images()).groups] == [8]


def test_a_parameter_that_is_returned_stays() -> None:
    class Returns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.conv = nn.Parameter(torch.ones(1, 4, 1, 1)), nn.Conv2d(3, 4, 3)
            self.last = nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.last(self.conv(x) * self.scale), self.scale * 1

    assert not trace(Returns(), images()).groups


def test_tracing_twice_gives_the_same_fingerprint_whatever_the_weights() -> None:
    case = traced("residual")
    other = copy.deepcopy(case.model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2)

    assert trace(other, images()).fingerprint == case.network.fingerprint
    assert traced("chain").network.fingerprint != case.network.fingerprint


def test_operations_know_their_modules_parameters_and_settings() -> None:
    network = traced("padding_shortcut").network
    operation = next(o for o in network.operations if o.parameters.get("weight") == "2.conv1.0.weight")

    assert operation.name == "conv2d"
    assert operation.module == "2.conv1.0"
    assert [name for _, name in operation.modules][-3:] == ["BasicBlock", "Sequential", "Conv2d"]
    assert list(operation.settings["stride"]) == [2, 2]
    assert operation.shape == (2, 16, 4, 4)
