"""Code that prevents pruning: operations without a rule, transforms, and sizes that are written down."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


@fixture
def without_rule() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(torch.special.i0(m.stem(x)))

    return Module(run, stem=conv(3, 8), head=Head(8)), images()


@fixture
def fourier() -> tuple[nn.Module, Any]:
    """A transform of space between layers."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.b(m.a(x))
        return m.head(m.c(torch.fft.rfft2(x).real))

    return Module(run, a=conv(3, 8), b=conv(8, 6), c=conv(6, 10), head=Head(10)), images()


@fixture
def fixed_view() -> tuple[nn.Module, Any]:
    """The network's code says 16 where it means the width."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(m.b(m.a(x)).view(x.shape[0], 16, 64).mean(2))

    return Module(run, a=conv(3, 8), b=conv(8, 16), head=nn.Linear(16, 4)), images()


@fixture
def fixed_heads() -> tuple[nn.Module, Any]:
    """The number of heads is written down, so the width of a head would change."""

    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (3, 4)).transpose(1, 2) for layer in (m.q, m.k, m.v))
        y = F.scaled_dot_product_attention(q, k, v)
        return m.out(F.relu(m.hidden(y.transpose(1, 2).flatten(2))))

    layers = {name: nn.Linear(6, 12) for name in ("q", "k", "v")}
    return Module(run, **layers, hidden=nn.Linear(12, 8), out=nn.Linear(8, 4)), torch.randn(2, 5, 6)


def obstructed() -> nn.Module:
    """A function without a rule between layers, of which others can shrink."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(m.c(torch.special.i0(m.b(m.a(x)))))

    return Module(run, a=conv(3, 8), b=conv(8, 6), c=conv(6, 10), head=Head(10)).eval()
