"""States between calls: a network that depends on its last call is refused, one that makes a table once is not."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gnnrl.errors import TraceError
from gnnrl.network.tracing.tracer import trace
from tests.topologies import conv, images


class Keeping(nn.Module):
    """Keeps something of its first layer, of the input's size, or of its number of calls."""

    last: Any

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.a, self.b, self.kind, self.last = conv(3, 8), conv(8, 4), kind, None
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        if self.kind == "the last features":
            before, self.last = self.last, x
            x = x if before is None else x + before
        if self.kind == "a running mean":
            x = x - self.mean
            self.mean += x.mean((0, 2, 3))[:, None, None]
        if self.kind == "a table":
            if self.last is None:
                self.last = torch.linspace(0, 1, x.shape[3])
            x = x + self.last
        if self.kind == "a count":
            self.count += 1
        return self.b(x)


@pytest.mark.parametrize(("kind", "name"), [("the last features", "last"), ("a running mean", "mean")])
def test_a_network_that_depends_on_its_last_call_is_refused_with_the_line(kind: str, name: str) -> None:
    model = Keeping(kind).eval()
    with pytest.raises(TraceError, match=rf"keeps a state between calls in {name} \(.*test_states\.py:[0-9]+\)"):
        trace(model, images())
    assert model.last is None
    assert not model.mean.any()


@pytest.mark.parametrize("kind", ["a table", "a count", "nothing"])
def test_what_changes_no_result_is_no_state(kind: str) -> None:
    model = Keeping(kind).eval()

    assert [group.name for group in trace(model, images()).groups] == ["a.0"]
    assert not model.count.any()
