"""Probes in training mode: what runs there alone."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.pruner import prune
from tests.topologies import Head, conv, images


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
    assert "a part that only training runs reads these channels" in str(kept.reasons[0])
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


class Halves(nn.Module):
    """States a width by an attribute, so that probes on fake tensors are wanted, and does more on fake tensors."""

    def __init__(self, odd: str) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(6, 12), nn.Linear(12, 16), nn.Linear(16, 4)
        self.width, self.odd = 16, odd

    def forward(self, x: Tensor) -> Tensor:
        if self.odd == "branch" and isinstance(x, FakeTensor):
            x = x[:, :6].split(6, 1)[0]
        if self.odd == "no fake kernel" and not torch.compiler.is_exporting():
            torch._shape_as_tensor(x)
        x = self.second(self.first(x).relu()).reshape(-1, self.width)
        low, high = x.split(self.width // 2, 1)
        return self.third(torch.cat([low, high], 1))


@pytest.mark.parametrize("odd", ["branch", "no fake kernel"])
def test_fake_tensors_that_take_another_path_freeze_nothing(odd: str) -> None:
    plain, network = (trace(Halves(name), torch.randn(2, 6)) for name in ("", odd))

    assert [(group.name, group.size) for group in network.groups] == [
        (group.name, group.size) for group in plain.groups
    ]
    assert {group.name for group in network.groups} >= {"first"}
    assert [binding.attribute for binding in network.bindings] == ["width"]


_TABLES: dict[int, Tensor] = {}


class Remembering(Halves):
    """Makes a table in the first run only, outside of the network."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] not in _TABLES:
            _TABLES[x.shape[1]] = F.linear(torch.ones(2, 1), torch.zeros(6, 1))
        return super().forward(x + _TABLES[x.shape[1]])


def test_tables_that_outlive_a_run_freeze_nothing() -> None:
    network = trace(Remembering(""), torch.randn(2, 6))

    assert [group.name for group in network.groups] == [
        group.name for group in trace(Halves(""), torch.randn(2, 6)).groups
    ]
    assert [binding.attribute for binding in network.bindings] == ["width"]


class Masked(nn.Module):
    """Replaces random samples in training by a parameter, at positions or by a mask."""

    def __init__(self, by_mask: bool) -> None:
        super().__init__()
        self.by_mask = by_mask
        self.embed, self.hidden, self.head = nn.Linear(8, 12), nn.Linear(12, 16), nn.Linear(16, 4)
        self.replacement = nn.Parameter(torch.randn(12))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        if self.training:
            chosen = torch.tensor(np.random.rand(len(x)) < 0.5)
            x[chosen if self.by_mask else chosen.nonzero()[:, 0].tolist()] = self.replacement
        return self.head(self.hidden(x).relu())


@pytest.mark.parametrize("by_mask", [True, False])
def test_a_parameter_that_training_with_data_reads_keeps_what_it_meets(by_mask: bool) -> None:
    model, x = Masked(by_mask), torch.randn(6, 8)
    numbers = torch.get_rng_state(), np.random.get_state()[1].tolist()
    network = trace(model, x)

    assert torch.equal(torch.get_rng_state(), numbers[0])
    assert np.random.get_state()[1].tolist() == numbers[1]
    assert {group.name for group in network.groups} == {"hidden"}
    small = prune(model, x, Plan.uniform(network, "macs<=80%"), network=network)
    small.train()(torch.randn(16, 8)).sum().backward()


class Looked(nn.Module):
    """Takes attributes from its settings if they seem to have them, as diffusers does: `items` is a KeyError."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head, self.channels = conv(3, 8), Head(8), 8

    def __getattr__(self, name: str) -> Any:
        settings: dict[str, Any] = {}
        return settings[name] if hasattr(settings, name) else super().__getattr__(name)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        assert list({"channels": x.shape[1]}.items()) == [("channels", self.channels)]
        return self.head(x)


def test_attributes_that_the_code_does_not_read_are_not_looked_up() -> None:
    (group,) = trace(Looked(), images()).groups

    assert group.size == 8


class Processor:
    """Computes attention for a module, as a processor of diffusers does; it is not a module itself."""

    def __call__(self, attention: nn.Module, x: Tensor) -> Tensor:
        rows = len(x), -1, attention.heads, attention.q.out_features // attention.heads
        q, k, v = (layer(x).view(rows).transpose(1, 2) for layer in (attention.q, attention.k, attention.v))
        return attention.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Processed(nn.Module):
    """Gives itself to the processor, which reads its number of heads."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(12, 12) for _ in range(4))
        self.heads, self.processor = 4, Processor()

    def forward(self, x: Tensor) -> Tensor:
        return self.processor(self, x)


def test_an_attribute_that_code_outside_a_module_reads_is_bound() -> None:
    model, x = Processed(), torch.randn(2, 5, 12)
    network = trace(model, x)

    assert [group.kind for group in network.groups] == ["heads"]
    small = prune(model, x, Plan.of_widths(network, [3]))
    assert (small.heads, small.q.out_features) == (3, 9)
