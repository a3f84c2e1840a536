"""Channels that are split, sliced, moved into space or taken from it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


@fixture
def channel_chunk() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.stem(x).chunk(2, 1)
        return m.head(torch.cat([m.a(a), b], 1))

    return Module(run, stem=conv(3, 16), a=conv(8, 8), head=Head(16)), images()


@fixture
def pixel_shuffle() -> tuple[nn.Module, Any]:
    body = [conv(3, 24), nn.PixelShuffle(2), conv(6, 8), nn.PixelUnshuffle(2), nn.Conv2d(32, 8, 1), Head(8)]
    return nn.Sequential(*body), images()


@fixture
def unequal_split() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.stem(x).split([4, 6], 1)
        return m.head(torch.cat([m.a(a), m.b(b)], 1))

    return Module(run, stem=conv(3, 10), a=conv(4, 6), b=conv(6, 8), head=Head(14)), images()


@fixture
def channel_slice() -> tuple[nn.Module, Any]:
    """Channels by constant positions."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head(torch.cat([m.a(x[:, :3]), m.b(x)], 1))

    return Module(run, stem=conv(3, 8), a=conv(3, 6), b=conv(8, 6), head=Head(12)), images()


@fixture
def channel_half_slice() -> tuple[nn.Module, Any]:
    """Halves by slicing with the width at run time."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        half = x.shape[1] // 2
        return m.head(m.a(x[:, :half]) + m.b(x[:, half:]))

    return Module(run, stem=conv(3, 8), a=conv(4, 6), b=conv(4, 6), head=Head(6)), images()


@fixture
def patches() -> tuple[nn.Module, Any]:
    """Patches as channels and back, around a layer."""

    def run(m: Any, x: Tensor) -> Tensor:
        y = m.mix(F.unfold(m.stem(x), 2, stride=2).transpose(1, 2)).transpose(1, 2)
        return m.head(F.fold(F.relu(y), (8, 8), 2, stride=2))

    return Module(run, stem=conv(3, 6), mix=nn.Linear(24, 32), head=Head(8)), images()


@fixture
def windows() -> tuple[nn.Module, Any]:
    """Space cut into windows and put together again (Swin)."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x).permute(0, 2, 3, 1)
        b, h, w, c = x.shape
        x = x.view(b, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
        x = m.mlp(x).view(b, h // 4, w // 4, 4, 4, -1).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, -1)
        return m.head(x.roll((2, 2), (1, 2)).mean((1, 2)))

    return Module(run, stem=conv(3, 6), mlp=nn.Linear(6, 10), head=nn.Linear(10, 4)), images()
