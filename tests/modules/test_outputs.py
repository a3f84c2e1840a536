"""Outputs that count: hidden states, auxiliary heads and caches need not keep their shapes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnrl.errors import ConfigError
from gnnrl.modules.outputs import chosen_outputs
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.verification import verify


class Cache:
    """A class that torch does not know, as caches of language models are."""

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys


class Encoder(nn.Module):
    """Returns its hidden states beside its logits, in several ways."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embed, self.up, self.down, self.head = (
            nn.Linear(8, 12),
            nn.Linear(12, 24),
            nn.Linear(24, 12),
            nn.Linear(12, 5),
        )
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        x = self.embed(x)
        hidden = x + self.down(self.up(x).relu())
        logits = self.head(hidden)
        if self.kind == "a tuple":
            return hidden, logits
        return {"cache": Cache(hidden) if self.kind == "a cache" else hidden, "logits": logits}


CHOICES = [
    ("a dictionary", ["logits"]),
    ("a dictionary", "logits"),
    ("a dictionary", [-1]),
    ("a tuple", [1]),
    ("a tuple", lambda result: result[1:]),
    ("a cache", None),
    ("a cache", ["logits"]),
]


@pytest.mark.parametrize(("kind", "outputs"), CHOICES)
def test_only_outputs_that_count_keep_their_shapes(kind: str, outputs: Any) -> None:
    torch.manual_seed(0)
    model, x = Encoder(kind).eval(), torch.randn(2, 7, 8)
    network = trace(model, x, outputs=outputs)

    assert {group.name for group in network.groups} == {"embed", "up"}
    kept = [np.arange(group.size // 2) for group in network.groups]
    verify(model, remove(model, network, kept), network, kept, x)


def test_all_outputs_count_if_none_is_named() -> None:
    network = trace(Encoder("a tuple").eval(), torch.randn(2, 7, 8))

    assert {group.name for group in network.groups} == {"up"}
    assert network.fingerprint != trace(Encoder("a tuple").eval(), torch.randn(2, 7, 8), outputs=[1]).fingerprint


@pytest.mark.parametrize("outputs", [["loss"], [3], lambda result: result[1] + 1, lambda result: ()])
def test_outputs_that_are_not_returned_are_refused(outputs: Any) -> None:
    with pytest.raises(ConfigError, match="outputs="):
        trace(Encoder("a tuple").eval(), torch.randn(2, 7, 8), outputs=outputs)


def test_outputs_are_positions_among_all_tensors() -> None:
    nested = {"states": [torch.zeros(1), torch.ones(1)], "logits": torch.zeros(2)}

    assert chosen_outputs(nested, ["logits"]) == (2,)
    assert chosen_outputs(nested, [0]) == (0, 1)
    with pytest.raises(ConfigError, match="it returns states, logits"):
        chosen_outputs(nested, ["loss"])
