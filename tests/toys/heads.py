"""Toys with heads: attention by hand, from scores alone to language models."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies import Head, Module, images
from tests.toys.cases import Inputs, toy


@toy("TinyNeuralNetwork transformer_reshape", groups=0)
def a_head_read_by_a_layer() -> tuple[nn.Module, Any]:
    """Heads by a number in the code; a layer reads the channels of a head."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        return m.b(torch.reshape(x, [1, x.shape[0], x.shape[1] // 4, 4]))

    return Module(run, a=nn.Linear(6, 12), b=nn.Linear(4, 4)), torch.randn(3, 6)


class Scores(nn.Module):
    """Scores of hand-made heads, which a layer over positions reads; a row of ones stands before the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.a, self.b = nn.Conv2d(3, 12, 4, 4), nn.Linear(12, 12), nn.Linear(12, 12)
        self.c = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(-1, -2)
        x = torch.cat((torch.ones(x.shape[0], 1, x.shape[-1]), x), dim=1)
        q, k = (layer(x) for layer in (self.a, self.b))
        q, k = (torch.reshape(y, [*y.shape[:2], y.shape[2] // 4, 4]).permute(0, 2, 1, 3) for y in (q, k))
        return self.c(torch.matmul(q, k.transpose(-1, -2))).sum(1)


@toy("TinyNeuralNetwork transformer_matmul", groups=0)
def scores_without_values() -> tuple[nn.Module, Any]:
    return Scores(), images()


@toy("TinyNeuralNetwork transformer_reshape_transpose, conv_transformer_reshape_transpose", groups=1)
def attention_by_reshapes() -> tuple[nn.Module, Any]:
    """Heads of a stated width, and shapes read off every tensor."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.patch(x).flatten(2).transpose(-1, -2)
        q, k, v = (layer(x) for layer in (m.q, m.k, m.v))
        q, k, v = (torch.reshape(y, [*y.shape[:2], y.shape[2] // 4, 4]).permute(0, 2, 1, 3) for y in (q, k, v))
        y = torch.matmul(torch.softmax(torch.matmul(q, k.transpose(-1, -2)), dim=-1), v).permute(0, 2, 1, 3)
        y = m.out(y.reshape([y.shape[0], y.shape[1], y.shape[2] * y.shape[3]]))
        return m.last(torch.add(x, y))

    parts = {name: nn.Linear(10, 12) for name in "qkv"}
    return Module(run, patch=nn.Conv2d(3, 10, 4, 4), **parts, out=nn.Linear(12, 10), last=nn.Linear(10, 3)), images()


@toy("TinyNeuralNetwork matmul_dim_mapping", groups=1)
def a_product_of_two_layers() -> tuple[nn.Module, Any]:
    """Rows of one layer times columns of another, both read again."""

    def run(m: Any, first: Tensor, second: Tensor) -> Tensor:
        return m.c(torch.matmul(m.a(first), m.b(second).transpose(1, 2)))

    layers = {"a": nn.Linear(6, 8), "b": nn.Linear(5, 8), "c": nn.Linear(4, 3)}
    return Inputs(run, **layers), (torch.randn(2, 3, 6), torch.randn(2, 4, 5))


class SelfAttention(nn.Module):
    """Heads by an attribute; the width of a head is computed from the stream, the scale from a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.heads = nn.Conv2d(3, 16, 4, 4), 4
        self.qkv, self.out, self.head = nn.Linear(16, 48), nn.Linear(16, 16), Head(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        h, w = x.shape[-2:]
        x = x.flatten(2).transpose(-1, -2)
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape([n, t, 3, self.heads, c // self.heads]).permute(2, 0, 3, 1, 4).contiguous()
        y = q @ k.transpose(-1, -2) / math.sqrt(16 // self.heads) @ v
        x = x + self.out(y.permute(0, 2, 1, 3).flatten(-2))
        return self.head(x.reshape([n, h, w, c]).permute(0, 3, 1, 2))


@toy("MMRazor SelfAttention", groups=0)
def heads_from_the_stream() -> tuple[nn.Module, Any]:
    return SelfAttention(), images()


class Layer(nn.Module):
    """A layer of BERT: separate projections, an attribute for all heads, sums before the normalisations."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.all_heads = width
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.out, self.norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.up, self.down, self.last = nn.Linear(width, hidden), nn.Linear(hidden, width), nn.LayerNorm(width)

    def split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, self.head_width).permute(0, 2, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        weights = (q @ k.transpose(-1, -2) / math.sqrt(self.head_width)).softmax(-1)
        y = (weights @ v).permute(0, 2, 1, 3).contiguous()
        x = self.norm(self.out(y.view(*y.shape[:2], self.all_heads)) + x)
        return self.last(self.down(F.gelu(self.up(x))) + x)


@toy("ModelOpt BertQA", groups=4)
def question_answering() -> tuple[nn.Module, Any]:
    """Embeddings of tokens and positions, two layers, and two outputs that are cut apart."""

    def run(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        x = m.norm(m.tokens(x) + m.positions(torch.arange(x.shape[1])[None]))
        start, end = m.outputs(m.layers(x)).split(1, dim=-1)
        return start.squeeze(-1), end.squeeze(-1)

    layers = nn.Sequential(Layer(8, 4, 16), Layer(8, 4, 12))
    tokens, positions = nn.Embedding(16, 8), nn.Embedding(9, 8)
    parts = {"tokens": tokens, "positions": positions, "norm": nn.LayerNorm(8), "layers": layers}
    return Module(run, **parts, outputs=nn.Linear(8, 2)), torch.randint(0, 16, (2, 7))


class RotaryLayer(nn.Module):
    """A layer of GPT-J: rotated parts of a head, a causal mask, attention and hidden layer side by side."""

    def __init__(self, width: int, heads: int, rotary: int, hidden: int) -> None:
        super().__init__()
        self.heads, self.head_width, self.rotary, self.width = heads, width // heads, rotary, width
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, width, bias=False)
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        angle = torch.arange(8)[:, None] * 0.1 ** torch.arange(rotary // 2)
        self.register_buffer("sine", angle.sin())
        self.register_buffer("cosine", angle.cos())
        self.register_buffer("mask", torch.ones(8, 8).tril().bool())

    def rotate(self, x: Tensor) -> Tensor:
        turned, rest = x[..., : self.rotary], x[..., self.rotary :]
        a, b = turned[..., ::2], turned[..., 1::2]
        sine, cosine = self.sine[: x.shape[1], None], self.cosine[: x.shape[1], None]
        turned = torch.stack((a * cosine - b * sine, b * cosine + a * sine), -1).flatten(-2)
        return torch.cat([turned, rest], -1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (layer(y).view(*y.shape[:2], self.heads, self.head_width) for layer in (self.q, self.k, self.v))
        q, k, v = (z.permute(0, 2, 1, 3) for z in (self.rotate(q), self.rotate(k), v))
        mask = self.mask[: y.shape[1], : y.shape[1]]
        scores = torch.where(mask, q @ k.transpose(-1, -2), torch.finfo(q.dtype).min) / self.head_width**0.5
        mixed = (scores.softmax(-1) @ v).permute(0, 2, 1, 3).contiguous()
        mixed = mixed.view(*mixed.shape[:-2], self.heads * self.head_width)
        return self.out(mixed) + self.down(F.gelu(self.up(y))) + x


@toy("ModelOpt GPTJ", groups=4)
def causal_language_model() -> tuple[nn.Module, Any]:
    layers = [RotaryLayer(16, 4, 2, 20), RotaryLayer(16, 4, 2, 24)]
    body = [nn.Embedding(16, 16), *layers, nn.LayerNorm(16), nn.Linear(16, 16)]
    return nn.Sequential(*body), torch.randint(0, 16, (2, 6))
