"""torch's own attention and transformer layers, and what stands around them."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Module, images


@fixture
def multihead_attention() -> tuple[nn.Module, Any]:
    """torch's own attention, which asserts its width."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.out(m.attention(x, x, x, need_weights=False)[0])

    return Module(run, attention=nn.MultiheadAttention(8, 2, batch_first=True), out=nn.Linear(8, 4)), torch.randn(
        2, 5, 8
    )


class Attending(nn.Module):
    """torch's own attention between layers, so that heads and all streams may shrink."""

    def __init__(self, heads: int, **settings: Any) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(6, 8), nn.Linear(6, settings.get("kdim", 8))
        self.value = nn.Linear(6, settings["vdim"]) if "vdim" in settings else None
        self.attention, self.out = nn.MultiheadAttention(8, heads, **settings), nn.Linear(8, 4)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        x, key = self.query(x), self.key(memory)
        value = key if self.value is None else self.value(memory)
        return self.out(x + self.attention(x, key, value)[0])


@fixture
def cross_attention() -> tuple[nn.Module, Any]:
    return Attending(4, batch_first=True), (torch.randn(2, 5, 6), torch.randn(2, 7, 6))


@fixture
def cross_attention_separate() -> tuple[nn.Module, Any]:
    """Keys and values of other widths than the queries."""
    return Attending(4, kdim=5, vdim=7), (torch.randn(5, 2, 6), torch.randn(5, 2, 6))


@fixture
def cross_attention_with_bias_rows() -> tuple[nn.Module, Any]:
    """A learned key and value that every query attends to."""
    return Attending(2, add_bias_kv=True, bias=False), (torch.randn(5, 2, 6), torch.randn(5, 2, 6))


@fixture
def transformer_encoder() -> tuple[nn.Module, Any]:
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, activation="gelu")
    body = [nn.Linear(6, 8), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 4)]
    return nn.Sequential(*body), torch.randn(2, 5, 6)


class Decoder(nn.Module):
    """Self attention, cross attention and a hidden layer, normalised before each."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.encode, self.out = nn.Linear(6, 8), nn.Linear(5, 8), nn.Linear(8, 4)
        self.layer = nn.TransformerDecoderLayer(8, 4, 12, norm_first=True)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        return self.out(self.layer(self.embed(x), self.encode(memory)))


@fixture
def transformer_decoder() -> tuple[nn.Module, Any]:
    return Decoder(), (torch.randn(3, 2, 6), torch.randn(3, 2, 5))


@fixture
def spatial_gate() -> tuple[nn.Module, Any]:
    """A linear layer over positions (MLP-Mixer)."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.patch(x).flatten(2)
        x = x + m.mix2(F.gelu(m.mix1(x)))
        return m.head(x.mean(2))

    layers = {"patch": nn.Conv2d(3, 8, 2, stride=2), "mix1": nn.Linear(16, 12), "mix2": nn.Linear(12, 16)}
    return Module(run, **layers, head=nn.Linear(8, 4)), images()


@fixture
def class_token() -> tuple[nn.Module, Any]:
    """A learned token before the others and learned positions, as in vision transformers."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([m.token.expand(x.shape[0], -1, -1), x], 1) + m.positions
        x = x + m.down(F.gelu(m.up(m.norm(x))))
        return m.head(x[:, 0])

    layers = {"patch": nn.Conv2d(3, 8, 4, stride=4), "norm": nn.LayerNorm(8), "up": nn.Linear(8, 12)}
    vectors = {"token": nn.Parameter(torch.randn(1, 1, 8)), "positions": nn.Parameter(torch.randn(1, 5, 8))}
    return Module(run, **layers, **vectors, down=nn.Linear(12, 8), head=nn.Linear(8, 4)), images()


@fixture
def added_token() -> tuple[nn.Module, Any]:
    """A learned token that zeros spread over the batch, as in CLIP."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.patch(x).flatten(2).transpose(1, 2)
        token = m.token + torch.zeros(x.shape[0], 1, x.shape[-1], dtype=x.dtype)
        x = torch.cat([token, x], 1)
        return m.head((x + m.down(F.gelu(m.up(x))))[:, 0])

    layers = {"patch": nn.Conv2d(3, 8, 4, stride=4), "up": nn.Linear(8, 12), "down": nn.Linear(12, 8)}
    return Module(run, **layers, token=nn.Parameter(torch.randn(8)), head=nn.Linear(8, 4)), images()


@fixture
def registers() -> tuple[nn.Module, Any]:
    """Several learned tokens before the others; sizes are read from a position that is not used otherwise."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([m.registers.expand(x[:, :, -1].shape[0], -1, -1), x], 1)
        return m.head((x + m.down(F.gelu(m.up(x))))[:, 0])

    layers = {"patch": nn.Conv2d(3, 8, 4, stride=4), "up": nn.Linear(8, 12), "down": nn.Linear(12, 8)}
    return Module(run, **layers, registers=nn.Parameter(torch.randn(1, 3, 8)), head=nn.Linear(8, 4)), images()


def experts(run: Any) -> tuple[nn.Module, Any]:
    """Hidden layers of three experts in one parameter each, weighted by a router."""

    def forward(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x).flatten(0, 1)
        return m.head(x + run(m, x, m.router(x).softmax(-1)))

    weights = {"up": nn.Parameter(torch.randn(3, 24, 8)), "down": nn.Parameter(torch.randn(3, 8, 12))}
    layers = {"stem": nn.Linear(6, 8), "router": nn.Linear(8, 3), "head": nn.Linear(8, 4)}
    return Module(forward, **layers, **weights), torch.randn(2, 5, 6)


@fixture
def experts_as_equations() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor, shares: Tensor) -> Tensor:
        gate, up = torch.einsum("td,eid->tei", x, m.up).chunk(2, -1)
        return torch.einsum("tei,edi,te->td", F.silu(gate) * up, m.down, shares)

    return experts(run)


@fixture
def experts_in_batches() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor, shares: Tensor) -> Tensor:
        gate, up = torch.bmm(x[None].expand(len(m.up), -1, -1), m.up.transpose(1, 2)).chunk(2, -1)
        return (torch.bmm(F.silu(gate) * up, m.down.transpose(1, 2)) * shares.T[:, :, None]).sum(0)

    return experts(run)


@fixture
def experts_of_tokens() -> tuple[nn.Module, Any]:
    """Each token is computed by the two experts that its router prefers, whose weights are gathered (Mixtral)."""

    def run(m: Any, x: Tensor, shares: Tensor) -> Tensor:
        weights, chosen = shares.topk(2, -1)
        gate, up = (m.up[chosen.flatten()] @ x.repeat_interleave(2, 0)[:, :, None]).squeeze(-1).chunk(2, -1)
        y = (m.down[chosen.flatten()] @ (F.silu(gate) * up)[:, :, None]).squeeze(-1)
        return (y * weights.flatten()[:, None]).view(-1, 2, y.shape[-1]).sum(1)

    return experts(run)
