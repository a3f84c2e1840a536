"""Sizes that the user's own code states: bound to the plan where an attribute holds them, else frozen with the line."""

import inspect

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnrl.errors import TraceError
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


class WidthOfAStream(nn.Module):
    """Attention that compares its input with the width of the stream; its heads together are as wide."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.embed_dim, self.num_heads, self.head_dim = width, heads, width // heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] != self.embed_dim:
            raise ValueError(f"expected {self.embed_dim} channels, got {x.shape[2]}")
        q, k, v = (
            layer(x).view(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(*x.shape[:2], self.num_heads * self.head_dim))


@pytest.mark.parametrize(("width", "heads"), [(96, 4), (120, 5), (240, 10)])
def test_an_attribute_follows_the_stream_though_the_heads_keep_as_many_channels_in_a_probe(
    width: int, heads: int
) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Linear(8, width), nn.Linear(width, 5)
            self.layers = nn.ModuleList(WidthOfAStream(width, heads) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            x = self.embed(x)
            for layer in self.layers:
                x = x + layer(x)
            return self.head(x)

    model, x = Net().eval(), torch.randn(2, 7, 8)
    network = trace(model, x)
    stream = next(group.index for group in network.groups if group.kind == "stream")

    followed = [binding for binding in network.bindings if binding.attribute == "embed_dim"]
    assert len(followed) == 3
    assert all(network.groups_along([binding.owner]) == {stream} for binding in followed)
    kept = [range(group.size - group.index % 2 * (group.size // 2)) for group in network.groups]
    verify(model, remove(model, network, kept), network, kept, x)


def test_a_search_for_stated_sizes_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrl.network.tracing.deadline.Deadline.check", lambda _: None)
    with pytest.raises(TraceError, match=r"tracing Constant takes more than 0 s: .* still fail in the network itself"):
        trace(Constant().eval(), images(), trace_seconds=0)


class Compared(nn.Module):
    """A residual block that projects its input if the shapes differ."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.body, self.last = conv(before, after), conv(after, after)
        self.project = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.last(self.body(x))
        if x.shape != y.shape:
            x = self.project(x)
        return x + y


def test_a_path_that_depends_on_two_widths_is_the_same_for_all_plans() -> None:
    model = nn.Sequential(conv(3, 6), Compared(6, 8), Compared(8, 8), conv(8, 4), Head(4)).eval()
    network = trace(model, images())

    (frozen,) = [group for group in network.frozen if group.reasons[0].kind is Kind.COMPARED_SIZE]
    assert frozen.size == 8
    assert str(frozen.reasons[0]).startswith("the code takes another path if this size equals another one in 1 at ")
    line = inspect.getsourcelines(Compared.forward)[1] + 2
    assert frozen.reasons[0].location == f"{__file__}:{line}"
    assert {group.name for group in network.groups} >= {"0.0", "1.body.0", "2.body.0", "3.0"}
    for widths in ([2] * len(network.groups), network.widths - 1, np.minimum(network.widths, 6)):
        kept = [range(int(width)) for width in widths]
        verify(model, remove(model, network, kept), network, kept, images())


def test_groups_whose_sizes_are_computed_from_one_another_go_together() -> None:
    network = traced("heads_in_step_with_the_stream").network

    (stream,) = (group for group in network.groups if group.name == "0.0")
    assert stream.size == 3
    heads = {(place.tensor, place.dim) for place in stream.places}
    assert {("1.q.weight", 0), ("2.kv.weight", 0), ("2.reduce.weight", 0), ("2.out.weight", 1)} <= heads
    assert {(binding.module, binding.attribute) for binding in network.bindings} == {("1", "heads"), ("2", "heads")}


class Step(nn.Module):
    """Carries a state of `size` channels, which the network around it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.size, self.update = 8, conv(8 + 4, 8)

    def forward(self, state: Tensor, context: Tensor) -> Tensor:
        return self.update(torch.cat([state, context], 1))


class Carried(nn.Module):
    """Cuts channels into a state and a context by a size that another module states, as RAFT does."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.step, self.head = conv(3, 12), Step(), Head(8)

    def forward(self, x: Tensor) -> Tensor:
        both = self.both(x)
        state, context = both.split([self.step.size, both.shape[1] - self.step.size], 1)
        return self.head(self.step(state.tanh(), context))


def test_a_size_that_a_module_inside_states_is_bound() -> None:
    model = Carried().eval()
    network = trace(model, images())
    widths = [group.size // 2 for group in network.groups]
    small = prune(model, images(), Plan.of_widths(network, widths))

    assert Kind.STATED_SIZE not in {reason.kind for group in network.frozen for reason in group.reasons}
    assert {binding.attribute for binding in network.bindings} == {"size"}
    assert small.step.size < 8
