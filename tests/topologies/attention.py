"""Attention that networks write themselves."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


class Attention(nn.Module):
    """Self-attention; reads the width of a head from its weights' shapes, as a prunable one must."""

    def __init__(self, channels: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.head_width, self.fused = channels // heads, fused
        self.norm, self.qkv, self.out = (
            nn.LayerNorm(channels),
            nn.Linear(channels, 3 * channels),
            nn.Linear(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, t, 3, -1, self.head_width).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = ((q * self.head_width**-0.5) @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        return x + self.out(y.transpose(1, 2).reshape(b, t, -1))


@fixture
def attention() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.Linear(6, 16), Attention(16, 4, False), nn.Linear(16, 4)), torch.randn(2, 5, 6)


@fixture
def attention_fused() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.Linear(6, 16), Attention(16, 4, True), nn.Linear(16, 4)), torch.randn(2, 5, 6)


@fixture
def separate_projections() -> tuple[nn.Module, Any]:
    """Attention with a layer each for query, key and value."""

    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, 4)).transpose(1, 2) for layer in (m.q, m.k, m.v))
        y = F.scaled_dot_product_attention(q, k, v)
        return m.out(y.transpose(1, 2).flatten(2))

    layers = {name: nn.Linear(6, 12) for name in ("q", "k", "v")}
    return Module(run, **layers, out=nn.Linear(12, 4)), torch.randn(2, 5, 6)


@fixture
def learned_queries() -> tuple[nn.Module, Any]:
    """Learned rows attend to the tokens, as in DETR and in attention pooling."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        rows = m.rows.expand(len(x), -1, -1)
        q, k, v = (layer(y).unflatten(-1, (-1, 4)).transpose(1, 2) for layer, y in ((m.q, rows), (m.k, x), (m.v, x)))
        y = F.scaled_dot_product_attention(q, k, v)
        return m.out(y.transpose(1, 2).flatten(2))

    layers = {name: nn.Linear(8, 12) for name in ("q", "k", "v")}
    rows = nn.Parameter(torch.randn(1, 3, 8))
    return Module(run, **layers, stem=nn.Linear(6, 8), out=nn.Linear(12, 4), rows=rows), torch.randn(2, 5, 6)


class SharedWidth(nn.Module):
    """Computes the width of a head from the stream, and the width of the stream from its input (DINO, DeiT, Swin).

    Keys are reduced in space, and keep the width of the input (SegFormer).
    """

    def __init__(self, width: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.heads, self.reduce = heads, nn.Conv2d(width, width, 2, 2)
        self.norm, self.q, self.kv, self.out = (nn.LayerNorm(width), *(nn.Linear(width, n * width) for n in (1, 2, 1)))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.flatten(2).transpose(1, 2)
        y = self.norm(self.reduce(x.transpose(1, 2).reshape(n, c, h, w)).reshape(n, c, -1).transpose(1, 2))
        q = self.q(x).reshape(n, -1, self.heads, c // self.heads).transpose(1, 2)
        k, v = self.kv(y).reshape(n, -1, 2, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        z = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, h * w, c)
        return (x + self.out(z)).transpose(1, 2).reshape(n, c, h, w)


@fixture
def heads_in_step_with_the_stream() -> tuple[nn.Module, Any]:
    return nn.Sequential(conv(3, 12), SharedWidth(), SharedWidth(), conv(12, 8), Head(8)), images(size=4)


class StatedWidth(nn.Module):
    """Attention whose width is an attribute."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_width, self.width = heads, width // heads, width
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, self.head_width).permute(2, 0, 3, 1, 4).unbind(0)
        return x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, self.width))


class ComputedWidth(StatedWidth):
    """Attention whose width is that of its input."""

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c))


@fixture
def stated_width_beside_a_stream_of_as_many_heads() -> tuple[nn.Module, Any]:
    """The second block ties the stream to its heads, so that it has three units, as the heads of the first block."""
    blocks = StatedWidth(12, 3), ComputedWidth(12, 3)
    return nn.Sequential(nn.Linear(6, 12), *blocks, nn.Linear(12, 4)), torch.randn(2, 5, 6)


@fixture
def heads_of_windows() -> tuple[nn.Module, Any]:
    """Attention in windows, which come after the heads (NesT)."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x).unflatten(1, (2, -1))
        q, k, v = m.qkv(x).unflatten(-1, (3, -1, 4)).permute(3, 0, 4, 1, 2, 5).unbind(0)
        return m.out(F.scaled_dot_product_attention(q, k, v).permute(0, 2, 3, 1, 4).flatten(3))

    return Module(run, stem=nn.Linear(6, 8), qkv=nn.Linear(8, 36), out=nn.Linear(12, 4)), torch.randn(2, 6, 6)


class StatedHeads(nn.Module):
    """The number of heads and the width are attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.channels = 3, 12
        self.q, self.k, self.v, self.out = (nn.Linear(6, 12), nn.Linear(6, 12), nn.Linear(6, 12), nn.Linear(12, 4))

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = (layer(x).view(n, t, self.heads, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(n, t, self.channels))


@fixture
def stated_heads() -> tuple[nn.Module, Any]:
    return StatedHeads(), torch.randn(2, 5, 6)


def rotated(x: Tensor, angles: Tensor, interleaved: bool) -> Tensor:
    """Rotate pairs of channels of each head (Su et al. 2021): of its halves, or neighbours."""
    if interleaved:
        a, b = x[..., ::2], x[..., 1::2]
        turned = torch.stack([-b, a], -1).reshape(x.shape)
    else:
        a, b = x.chunk(2, -1)
        turned = torch.cat([-b, a], -1)
    return x * angles.cos() + turned * angles.sin()


def rotary(interleaved: bool) -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = m.qkv(m.stem(x)).unflatten(-1, (3, -1, 4)).permute(2, 0, 3, 1, 4)
        q, k = (rotated(y, m.angles, interleaved) for y in (q, k))
        return m.head(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    model = Module(run, stem=nn.Linear(6, 8), qkv=nn.Linear(8, 36), head=nn.Linear(12, 4))
    model.register_buffer("angles", torch.outer(torch.arange(5.0), torch.tensor([1.0, 0.1, 1.0, 0.1])))
    return model, torch.randn(2, 5, 6)


@fixture
def rotary_halves() -> tuple[nn.Module, Any]:
    return rotary(interleaved=False)


@fixture
def rotary_neighbours() -> tuple[nn.Module, Any]:
    return rotary(interleaved=True)


class ComputedAngles(nn.Module):
    """Fewer keys than queries, turned by angles of stored frequencies and given positions (Llama)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.q, self.out = nn.Linear(6, 8), nn.Linear(8, 16), nn.Linear(16, 4)
        self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8)
        self.register_buffer("frequencies", torch.tensor([1.0, 0.1]), persistent=False)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        x = self.stem(x)
        q, k, v = (layer(x).unflatten(-1, (-1, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        angles = (self.frequencies[None, :, None].expand(len(x), -1, 1) @ positions[:, None]).transpose(1, 2)
        angles = torch.cat([angles, angles], -1)[:, None]
        q, k = rotated(q, angles, False), rotated(k, angles, False)
        k, v = (y[:, :, None].expand(-1, -1, 2, -1, -1).flatten(1, 2) for y in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


@fixture
def rotary_given_positions() -> tuple[nn.Module, Any]:
    return ComputedAngles(), (torch.randn(2, 5, 6), torch.arange(5.0).repeat(2, 1))


@fixture
def linear_attention() -> tuple[nn.Module, Any]:
    """Attention without softmax: features of queries and keys are contracted, and never zero."""

    def run(m: Any, x: Tensor) -> Tensor:
        q, k = F.elu(m.q(x)) + 1, F.elu(m.k(x)) + 1
        return m.out(q @ (k.transpose(1, 2) @ m.v(x)))

    layers = {name: nn.Linear(6, 8) for name in ("q", "k", "v")}
    return Module(run, **layers, out=nn.Linear(8, 4)), torch.randn(2, 5, 6)


@fixture
def einsum_attention() -> tuple[nn.Module, Any]:
    """Attention written as equations."""

    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, 4)) for layer in (m.q, m.k, m.v))
        weights = torch.einsum("bthd, bshd -> bhts", q * 0.5, k).softmax(-1)
        return m.out(torch.einsum("bhts,bshd->bthd", weights, v).flatten(2))

    layers = {name: nn.Linear(6, 12) for name in ("q", "k", "v")}
    return Module(run, **layers, out=nn.Linear(12, 4)), torch.randn(2, 5, 6)


@fixture
def masked_heads() -> tuple[nn.Module, Any]:
    """A learned bias for the scores of every head (Swin)."""

    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = m.qkv(x).unflatten(-1, (3, -1, 4)).permute(2, 0, 3, 1, 4)
        return m.out(F.scaled_dot_product_attention(q, k, v, attn_mask=m.bias).transpose(1, 2).flatten(2))

    bias = nn.Parameter(torch.randn(1, 3, 5, 5))
    return Module(run, qkv=nn.Linear(6, 36), out=nn.Linear(12, 4), bias=bias), torch.randn(2, 5, 6)


@fixture
def non_local() -> tuple[nn.Module, Any]:
    """Attention over positions of an image, with a residual connection."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        q, k, v = (layer(x).flatten(2) for layer in (m.q, m.k, m.v))
        weights = (q.transpose(1, 2) @ k).softmax(-1)
        y = (v @ weights.transpose(1, 2)).view(x.shape[0], -1, x.shape[2], x.shape[3])
        return m.head(x + m.out(y))

    layers = {"stem": conv(3, 8), "q": nn.Conv2d(8, 4, 1), "k": nn.Conv2d(8, 4, 1), "v": nn.Conv2d(8, 6, 1)}
    return Module(run, **layers, out=nn.Conv2d(6, 8, 1), head=Head(8)), images(size=4)
