"""Random networks over tokens, of the parts that language and vision models of today are written with.

    python benchmarks/token_networks.py --networks 200

checks both laws on each: the predicted size is the real size, and the pruned network computes what the masked one does.
"""

import argparse
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gnnrl
from gnnrl.network.surgery import remove
from gnnrl.pruning.verification import verify

EPS = 1e-5
HEADS, HEAD = 4, 6
WIDTH = HEADS * HEAD


class RMSNorm(nn.Module):
    """Root-mean-square normalisation, written by hand in one of several ways."""

    def __init__(self, width: int, way: str) -> None:
        super().__init__()
        self.weight, self.way = nn.Parameter(torch.rand(width) + 0.5), way

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        if self.way == "squares":
            return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS))
        if self.way == "length":
            return x / (x.norm(dim=-1, keepdim=True) * x.shape[-1] ** -0.5 + EPS) * self.weight
        return F.rms_norm(x, (x.shape[-1],), self.weight, EPS)


class LayerNorm(nn.Module):
    """Layer normalisation by hand."""

    def __init__(self, width: int, way: str) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(width) + 0.5), nn.Parameter(torch.randn(width))
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        centred = x - x.mean(-1, keepdim=True)
        by_hand = self.way == "squares"
        spread = centred.pow(2).mean(-1, keepdim=True) if by_hand else x.var(-1, keepdim=True, unbiased=False)
        return centred / torch.sqrt(spread + EPS) * self.weight + self.bias


class Attention(nn.Module):
    """Attention with grouped keys, rotary positions and a mask that is made from the number of tokens."""

    def __init__(self, rng: random.Random, head: int) -> None:
        super().__init__()
        self.head, self.heads, self.shared = head, HEADS, rng.choice((1, 2, 4))
        self.query, self.out = nn.Linear(WIDTH, HEADS * head), nn.Linear(HEADS * head, WIDTH)
        self.key, self.value = (nn.Linear(WIDTH, HEADS // self.shared * head) for _ in range(2))
        self.rotary, self.masked, self.fused = rng.random() < 0.6, rng.random() < 0.5, rng.random() < 0.5
        self.norms = nn.ModuleList([RMSNorm(head, "squares") for _ in range(2)]) if rng.random() < 0.4 else None
        self.register_buffer("frequencies", 1.0 / 10 ** (torch.arange(0, head, 2).float() / head), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens [N, T, width]."""
        n, t, _ = x.shape
        q, k, v = (layer(x).view(n, t, -1, self.head).transpose(1, 2) for layer in (self.query, self.key, self.value))
        if self.norms is not None:
            q, k = self.norms[0](q), self.norms[1](k)
        if self.rotary:
            q, k = self._turned(q), self._turned(k)
        k, v = (each.repeat_interleave(self.shared, 1) for each in (k, v))
        mask = torch.full((t, t), float("-inf"), dtype=x.dtype).triu(1) if self.masked else None
        if self.fused:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            scores = q @ k.transpose(-1, -2) * self.head**-0.5
            mixed = (scores if mask is None else scores + mask).softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(n, t, -1))

    def _turned(self, x: Tensor) -> Tensor:
        angles = torch.arange(x.shape[2], dtype=self.frequencies.dtype)[:, None] * self.frequencies
        angles = torch.cat([angles, angles], -1)
        left, right = x.chunk(2, -1)
        return x * angles.cos() + torch.cat([-right, left], -1) * angles.sin()


class FeedForward(nn.Module):
    """A feed-forward block, with a gate or without."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        inner = rng.choice((8, 16, 20))
        self.up, self.down = nn.Linear(WIDTH, inner), nn.Linear(inner, WIDTH)
        self.gate = nn.Linear(WIDTH, inner, bias=False) if rng.random() < 0.5 else None

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens to tokens."""
        y = self.up(x)
        return self.down(F.gelu(y) if self.gate is None else F.silu(self.gate(x)) * y)


class Experts(nn.Module):
    """A mixture of experts whose weights are stacked; every token is computed by all, or by the best two."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        count, inner = 3, rng.choice((8, 12))
        self.router, self.best = nn.Linear(WIDTH, count), rng.choice((0, 2))
        self.up, self.down = (
            nn.Parameter(torch.randn(count, *shape) / 4) for shape in ((WIDTH, inner), (inner, WIDTH))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens to tokens."""
        weights = self.router(x).softmax(-1)
        if self.best:
            values, places = weights.topk(self.best, -1)
            weights = torch.zeros_like(weights).scatter(-1, places, values)
        hidden = F.gelu(torch.einsum("btd,edh->bteh", x, self.up))
        return torch.einsum("bteh,ehd,bte->btd", hidden, self.down, weights)


class Grouped(nn.Module):
    """Groups of channels that are scaled by one factor each: the sizes are computed from one another."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.groups, self.width = HEADS, WIDTH
        self.scale, self.mix = nn.Linear(WIDTH, HEADS), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens to tokens."""
        n, t, c = x.shape
        y = self.mix(x).view(n, t, self.groups, c // self.groups)
        return (y * self.scale(x).sigmoid()[..., None]).reshape(n, t, c)


BLOCKS: dict[str, Callable[[random.Random], nn.Module]] = {
    "attention": lambda rng: Attention(rng, HEAD),
    "feed-forward": FeedForward,
    "experts": Experts,
    "tied groups": Grouped,
}


class Tokens(nn.Module):
    """An embedding with registers, blocks in a residual stream, and a head over learned queries or the mean."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        make = rng.choice((RMSNorm, LayerNorm))
        way = rng.choice(("squares", "length", "torch") if make is RMSNorm else ("squares", "variance"))
        self.embed, self.registers = nn.Linear(5, WIDTH), None
        if rng.random() < 0.5:
            self.registers = nn.Parameter(torch.randn(1, rng.choice((1, 3)), WIDTH))
        self.names = rng.choices(sorted(BLOCKS), k=rng.choice((1, 2, 3)))
        self.blocks = nn.ModuleList(BLOCKS[name](rng) for name in self.names)
        self.norms = nn.ModuleList(make(WIDTH, way) for _ in range(len(self.blocks) + 1))
        self.queries = nn.Parameter(torch.randn(1, 2, WIDTH)) if rng.random() < 0.5 else None
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [N, T, 5] to [N, 3]."""
        x = self.embed(x)
        if self.registers is not None:
            x = torch.cat([self.registers.expand(len(x), -1, -1), x], 1)
        for norm, block in zip(self.norms, self.blocks, strict=False):
            x = x + block(norm(x))
        x = self.norms[-1](x)
        if self.queries is not None:
            weights = (self.queries.expand(len(x), -1, -1) @ x.transpose(1, 2)).softmax(-1)
            x = weights @ x
        return self.head(x.mean(1))


def random_tokens(seed: int) -> Tokens:
    """Return the network of this number, in double precision and evaluation mode."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Tokens(random.Random(seed)).double().eval()


def inputs() -> Tensor:
    """Return the example inputs of all networks."""
    return torch.randn(2, 7, 5, dtype=torch.double, generator=torch.Generator().manual_seed(0))


def check_laws(seed: int) -> tuple[list[str], float]:
    """Check both laws on the network of this number; return its blocks, and the share of the MACs at the narrowest.

    Raises:
        AssertionError: the predicted size is not the real one, or nothing could be compared.
        VerificationError: the pruned network computes something else than the masked one.
    """
    model, x = random_tokens(seed), inputs()
    network = gnnrl.trace(model, x)
    rng = np.random.default_rng(seed)
    kept = [np.sort(rng.permutation(each.size)[: rng.integers(1, each.size + 1)]) for each in network.groups]
    small = remove(model, network, kept)
    predicted = gnnrl.measure(network, [len(units) for units in kept])
    assert predicted == gnnrl.measure(gnnrl.trace(small, x)), "the predicted size is not the real one"
    assert verify(model, small, network, kept, x).difference is not None, "nothing was compared"
    floor = gnnrl.measure(network, [1] * len(network.groups))
    return model.names, floor.macs / gnnrl.measure(network).macs


def main() -> None:
    """Check networks, and keep what was found."""
    import machine  # here, for the tests import this file without its neighbours

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(1)
    wrong: dict[str, str] = {}
    floors = []
    for seed in range(args.networks):
        try:
            floors.append(check_laws(seed)[1])
        except Exception as error:  # each is counted
            wrong[str(seed)] = f"{type(error).__name__}: {error}"[:300]
            print(seed, random_tokens(seed).names, wrong[str(seed)], file=sys.stderr, flush=True)
    document: dict[str, Any] = {
        "networks": args.networks,
        "wrong": wrong,
        "median_floor": float(np.median(floors)),
        "largest_floor": max(floors),
    }
    machine.write("token_networks", document)
    print(document)


if __name__ == "__main__":
    main()
