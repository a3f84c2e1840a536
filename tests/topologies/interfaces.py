"""Several inputs and outputs, by position, by name and nested."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.vector, self.last = conv(3, 8), nn.Linear(4, 8), conv(8, 6)
        self.head = Head(6)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.head(self.last(self.image(x) * F.relu(self.vector(y))[:, :, None, None]))


@fixture
def two_inputs() -> tuple[nn.Module, Any]:
    return TwoInputs(), (images(), torch.randn(2, 4))


@fixture
def keyword_inputs() -> tuple[nn.Module, Any]:
    return TwoInputs(), {"y": torch.randn(2, 4), "x": images()}


@fixture
def two_outputs() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        x = m.stem(x)
        return m.a(x), m.b(x)

    return Module(run, stem=nn.Sequential(conv(3, 8), conv(8, 8)), a=Head(8), b=nn.Conv2d(8, 4, 1)), images()


@fixture
def nested_outputs() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> dict[str, Any]:
        a = m.a(x)
        b = m.b(a)
        return {"features": [b], "logits": {"first": m.head(a), "none": None}}

    return Module(run, a=nn.Sequential(conv(3, 8), conv(8, 8)), b=conv(8, 6), head=Head(8)), images()
