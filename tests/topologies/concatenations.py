"""Concatenations, of one another and of tensors that others read."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


@fixture
def concat() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head(m.last(torch.cat([m.a(x), m.b(x), x], 1)))

    return Module(run, stem=conv(3, 6), a=conv(6, 8), b=conv(6, 10, 1), last=conv(24, 12), head=Head(12)), images()


@fixture
def cascaded_concat() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a = m.a(x)
        b = torch.cat([a, m.b(a)], 1)
        c = torch.cat([b, m.c(b), a], 1)
        return m.head(torch.cat([c, m.d(c)], 1))

    layers = {"a": conv(3, 6), "b": conv(6, 8), "c": conv(14, 8), "d": conv(28, 4), "head": Head(32)}
    return Module(run, **layers), images()


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 2 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(2 * growth), nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))
        return torch.cat([x, y], 1)


@fixture
def dense_block() -> tuple[nn.Module, Any]:
    layers = [DenseLayer(8 + 4 * i, 4) for i in range(3)]
    transition = nn.Sequential(nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 10, 1), nn.AvgPool2d(2))
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *layers, transition, DenseLayer(10, 4), Head(14)), images()


@fixture
def space_slice() -> tuple[nn.Module, Any]:
    """Focus of YOLOv5: every other pixel of four phases side by side."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
        return m.head(m.last(x))

    return Module(run, stem=conv(3, 6), last=conv(24, 8), head=Head(8)), images()


@fixture
def unet() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a = m.a(x)
        b = m.b(F.avg_pool2d(a, 2))
        up = F.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)
        return m.out(m.c(torch.cat([up, a], 1)))

    return Module(run, a=conv(3, 6), b=conv(6, 10), c=conv(16, 8), out=nn.Conv2d(8, 2, 1)), images()


@fixture
def reuse_before_and_after() -> tuple[nn.Module, Any]:
    """One tensor read by three branches, one of which is normalised on its own."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head(torch.cat([m.a(x), m.n(x), F.max_pool2d(x, 3, 1, 1)], 1) * 0.5 - 1.0)

    return Module(run, stem=conv(3, 6), a=conv(6, 6), n=nn.BatchNorm2d(6), head=Head(18)), images()
