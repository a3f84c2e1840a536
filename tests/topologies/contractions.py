"""Sums, pooling and equations over the channels themselves."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


@fixture
def sum_over_channels() -> tuple[nn.Module, Any]:
    """A sum in which a removed channel counts nothing and a zero one 0.5."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = torch.sigmoid(m.b(m.a(x)))
        return m.head(m.c(x.sum(1, keepdim=True)))

    return Module(run, a=conv(3, 8), b=nn.Conv2d(8, 6, 3), c=conv(1, 6), head=Head(6)), images()


@fixture
def similarity() -> tuple[nn.Module, Any]:
    """A sum of products over channels: zero where one factor is."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head((m.a(x) * m.b(x)).sum(1, keepdim=True) * x)

    return Module(run, stem=conv(3, 8), a=nn.Conv2d(8, 6, 1), b=nn.Conv2d(8, 6, 1), head=Head(8)), images()


@fixture
def maxout() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        n, _, h, w = x.shape
        return m.head(x.view(n, -1, 2, h, w).amax(2))

    return Module(run, stem=conv(3, 12, relu=False), head=Head(6)), images()


@fixture
def einsum() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a = m.a(x)
        y = torch.einsum("nchw,nkhw->nck", a, torch.sigmoid(m.b(a)))
        return m.head(F.relu(y.flatten(1)))

    return Module(run, a=conv(3, 6), b=nn.Conv2d(6, 2, 1), head=nn.Linear(12, 4)), images()


@fixture
def channel_pooling() -> tuple[nn.Module, Any]:
    """Pooling along the channels of tokens."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.b(m.a(x)).flatten(2).transpose(1, 2)
        return m.head(F.avg_pool1d(x, 2).mean(1))

    return Module(run, a=conv(3, 8), b=conv(8, 6), head=nn.Linear(3, 4)), images()
