"""Sizes that the user's own code states: bound to the plan where an attribute holds them, else frozen with the line."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.reasons import Kind
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.pruner import prune
from gnnrl.pruning.verification import verify
from tests.topologies import Head, conv, images, traced


class Stated(nn.Module):
    """Reshapes by attributes: one number, and one inside a tuple."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, self.shape, self.level = channels, (channels, 8, 8), channels
        self.body = conv(3, channels)
        self.last = conv(channels, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x).flatten(2)
        y = y.view(-1, self.channels, 64).relu()
        return self.last(y.reshape(-1, *self.shape))


class Constant(nn.Module):
    """Says 12 where it means the width, and 10 nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = conv(3, 10), conv(10, 12), Head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.b(self.a(x))
        x = x.view(-1, 12, 8, 8)
        return self.head(x)


def test_an_attribute_that_states_a_width_follows_the_plan() -> None:
    model = Stated(12).eval()
    network = trace(model, images())
    group = network.group("body.0")
    kept = [[1, 5, 7] if other is group else list(range(other.size)) for other in network.groups]

    small = remove(model, network, kept)

    assert (small.channels, small.shape) == (3, (3, 8, 8))
    verify(model, small, network, kept, images())


def test_an_attribute_that_has_the_same_size_by_chance_is_left_alone() -> None:
    model = Stated(12).eval()
    network = trace(model, images())

    small = remove(model, network, [[0]] * len(network.groups))

    assert small.level == 12
    assert (model.channels, model.shape) == (12, (12, 8, 8))


def test_modules_of_one_class_are_bound_alike() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Stated(12), Stated(9)

        def forward(self, x: Tensor) -> Tensor:
            return self.first(x) + self.second(x)

    model = Two().eval()
    network = trace(model, images())
    small = remove(model, network, [range((group.size + 1) // 2) for group in network.groups])

    assert (small.first.channels, small.second.channels) == (6, 5)
    assert small(images()).shape == (2, 4, 8, 8)


def test_a_constant_in_the_code_freezes_its_group_and_names_its_line() -> None:
    model = Constant().eval()
    network = trace(model, images())
    lines, start = inspect.getsourcelines(Constant)
    line = start + next(number for number, text in enumerate(lines) if "view(" in text)

    assert [group.name for group in network.groups] == ["a.0"]
    reason = next(group for group in network.frozen if group.name == "b.0").reasons[0]
    assert reason.kind is Kind.STATED_SIZE
    assert reason.location == f"{__file__}:{line}"


def test_a_view_that_runs_with_wrong_sizes_is_noticed() -> None:
    """`view(n, -1, 4)` of fewer channels makes fewer rows of four, or rows that mix: whatever goes must be right."""

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.linear = nn.Linear(6, 8), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(self.a(x).view(x.shape[0], -1, 4)).sum(1)

    model = Rows().eval()
    x = torch.randn(2, 6)
    network = trace(model, x)
    kept = [range((group.size + 1) // 2) for group in network.groups]

    verify(model, remove(model, network, kept), network, kept, x)


class ScaledBySize(nn.Module):
    """Attention whose temperature is computed from the width of the queries."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        return self.out((q @ k.transpose(1, 2) * q.shape[-1] ** -0.5).softmax(-1) @ v)


def test_a_number_that_is_computed_from_a_size_freezes_the_size() -> None:
    network = trace(ScaledBySize().eval(), torch.randn(2, 5, 6))

    assert [group.name for group in network.groups] == ["v"]
    (frozen,) = [group for group in network.frozen if group.name == "q"]
    assert "the number depends on this size" in str(frozen.reasons[0])
    assert __file__ in str(frozen.reasons[0])


def test_halves_of_what_there_is_go_together_though_one_of_an_odd_number_is_right_by_chance() -> None:
    network = traced("channel_half_slice").network

    assert [place.positions.shape for place in network.group("stem.0").places[:1]] == [(4, 2)]
    for units in range(1, 5):
        kept = [np.arange(units) if group.name == "stem.0" else np.arange(group.size) for group in network.groups]
        small = remove(traced("channel_half_slice").model, network, kept)
        verify(traced("channel_half_slice").model, small, network, kept, images())


class Trained(nn.Module):
    """Has a head that runs in training alone, and noise of a width that the code states."""

    def __init__(self, *, width: int | None = None) -> None:
        super().__init__()
        self.first, self.second, self.third = conv(3, 8), conv(8, 12), conv(12, 10)
        self.head, self.extra = Head(10), Head(12)
        self.width = width or 10

    def forward(self, x: Tensor) -> Any:
        middle = self.second(self.first(x))
        last = self.third(middle)
        if not self.training:
            return self.head(last)
        noise = torch.randn(1, self.width, 1, 1)
        return self.head(last + noise), self.extra(middle)


@pytest.mark.parametrize("samples", [1, 2])
def test_what_is_read_in_training_alone_stays_and_the_network_can_be_trained(samples: int) -> None:
    model, x = Trained(), images(batch=samples)
    network = trace(model, x)

    assert {group.name for group in network.groups} == {"first.0", "third.0"}
    (kept,) = (group for group in network.frozen if group.name == "second.0")
    assert "a part that runs in training alone reads this" in str(kept.reasons[0])
    small = prune(model, x, Plan.uniform(network, "macs<=80%"))
    outputs = small.train()(images(batch=4))
    torch.autograd.backward([output.sum() for output in outputs])
    assert small.width == small.third[0].out_channels < 10


def test_a_network_that_wants_targets_in_training_is_traced_as_it_is_evaluated() -> None:
    class Targeted(Trained):
        def forward(self, x: Tensor, targets: Tensor | None = None) -> Any:
            if self.training and targets is None:
                raise ValueError("targets wanted")
            return super().forward(x)

    assert {"first.0", "second.0", "third.0"} == {group.name for group in trace(Targeted(), images()).groups}
