"""One operation at a time, between a layer of 8 channels and its reader: what goes together, or why nothing may go."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.network.reasons import Kind
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.verification import verify
from tests.topologies import images


class Between(nn.Module):
    """A convolution to 8 channels, an operation, and a convolution or linear layer that reads its result."""

    def __init__(self, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.make = nn.Conv2d(3, 8, 3, padding=1)
        self.operation = operation
        made = operation(torch.zeros(2, 8, 4, 4))
        self.image = made.ndim == 4
        self.read = nn.Conv2d(made.shape[1], 3, 1) if self.image else nn.Linear(made.shape[-1], 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.operation(self.make(x)))


@dataclass(frozen=True)
class Case:
    """Units that remain removable in the layer before the operation (0: none), and why if there are none."""

    operation: Callable[[Tensor], Tensor]
    units: int
    kind: Kind | None = None


constant = torch.rand(1, 8, 1, 1) + 0.5
grid = torch.rand(4, 4)


def pair(x: Tensor) -> tuple[Tensor, Tensor]:
    """Positions by channels and channels by positions."""
    return x.flatten(2).transpose(1, 2), x.flatten(2)


CASES = {
    # element by element
    "relu": Case(torch.relu, 8),
    "in place": Case(lambda x: x.relu_().mul_(2), 8),
    "chain": Case(lambda x: F.hardswish(F.gelu(x).clamp(-1, 1)).tanh().exp(), 8),
    "scalar": Case(lambda x: 1.0 / (x.abs() + 1) - 3, 8),
    "itself": Case(lambda x: x * x + x, 8),
    "a new tensor": Case(lambda x: x + x.new_ones(2, 1, 4, 4), 8),
    "where": Case(lambda x: torch.where(x > 0, x, -x), 8),
    "masked": Case(lambda x: x.masked_fill(x < 0, 0.5), 8),
    "pixels": Case(lambda x: x * grid, 8),
    "a constant for each channel": Case(lambda x: x * constant, 0, Kind.FIXED_OPERAND),
    "dropout": Case(lambda x: F.dropout2d(F.dropout(x, 0.5, False), 0.5, False), 8),
    # shapes
    "flatten": Case(lambda x: x.flatten(1), 8),
    "view": Case(lambda x: x.view(x.shape[0], -1), 8),
    "reshape there and back": Case(lambda x: x.reshape(x.shape[0], -1, 16).reshape(x.shape[0], -1, 4, 4), 8),
    "channels last": Case(lambda x: x.permute(0, 2, 3, 1), 0, Kind.FIXED_INPUT),
    "tokens": Case(lambda x: x.flatten(2).transpose(1, 2), 8),
    "movedim": Case(lambda x: x.movedim(1, -1).movedim(-1, 1), 8),
    "swapaxes": Case(lambda x: x.swapaxes(2, 3), 8),
    "squeeze": Case(lambda x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1), 8),
    "unsqueeze": Case(lambda x: x.unsqueeze(2).squeeze(2), 8),
    "unflatten": Case(lambda x: x.unflatten(1, (-1, 2)).flatten(1, 2), 4),
    "select of channels": Case(lambda x: x - x[:, 0, None], 0, Kind.CONSTANT_POSITIONS),
    "halves by position": Case(lambda x: (lambda y: y[:, 0] * y[:, 1])(x.unflatten(1, (2, -1))), 4),
    "unbind of channels": Case(lambda x: sum(x.unbind(1))[:, None], 0, Kind.CONSTANT_POSITIONS),
    "pairs": Case(lambda x: x.unflatten(1, (-1, 2)).sum(2), 4),
    "halves": Case(lambda x: x.unflatten(1, (2, -1)).sum(1), 4),
    "repeat channels": Case(lambda x: x.repeat(1, 2, 1, 1), 8),
    "repeat space": Case(lambda x: x.repeat(1, 1, 2, 2), 8),
    "tile": Case(lambda x: x.tile(1, 1, 1, 3), 8),
    "expand": Case(lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 4, 4), 8),
    "flip space": Case(lambda x: x.flip(2, 3), 8),
    "roll space": Case(lambda x: x.roll(1, 2), 8),
    "roll channels": Case(lambda x: x.roll(2, 1), 0, Kind.SHIFTED),
    "pad space": Case(lambda x: F.pad(x, (1, 2, 0, 1)), 8),
    "reflect": Case(lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), 8),
    "pad channels": Case(lambda x: F.pad(x, (0, 0, 0, 0, 2, 1)), 8),
    "unpad": Case(lambda x: x[..., 1:-1, 1:-1], 8),
    "first channels": Case(lambda x: x[:, :4], 4, "states this size itself"),
    "index of space": Case(lambda x: x[:, :, torch.tensor([0, 2])], 8),
    "index of channels": Case(lambda x: x[:, torch.tensor([0, 2, 5])], 0, Kind.CONSTANT_POSITIONS),
    "index_select": Case(lambda x: x.index_select(1, torch.tensor([1, 0])), 0, Kind.CONSTANT_POSITIONS),
    "index_select of space": Case(lambda x: x.index_select(2, torch.tensor([1, 0])), 8),
    "select of space": Case(lambda x: x.select(2, 1).flatten(1), 8),
    "last channels": Case(lambda x: x[:, -3:], 5),
    "narrowed space": Case(lambda x: x.narrow(2, 1, 2), 8),
    "narrowed channels": Case(lambda x: x.narrow(1, 5, 3), 0, Kind.STATED_SIZE),
    "middle channels": Case(lambda x: x.narrow(1, 2, 3), 0, Kind.CONSTANT_POSITIONS),
    "every other channel": Case(lambda x: x[:, ::2], 0, Kind.CONSTANT_POSITIONS),
    "halves at run time": Case(lambda x: x[:, : x.shape[1] // 2] * x[:, x.shape[1] // 2 :], 4),
    # several
    "cat": Case(lambda x: torch.cat([x, x.relu()], 1), 8),
    "cat in space": Case(lambda x: torch.cat([x, x.relu()], 2), 8),
    "cat with fixed channels": Case(
        lambda x: torch.cat([x, torch.ones_like(x[:, 0, None])], 1), 0, Kind.CONSTANT_POSITIONS
    ),
    "stack": Case(lambda x: torch.stack([x, -x], 1).amax(1), 8),
    "stack and flatten": Case(lambda x: torch.stack([x, -x], 2).flatten(1, 2), 8),
    "unbind": Case(lambda x: torch.cat(x.unflatten(1, (2, -1)).unbind(1)[::-1], 1), 4),
    "glu": Case(lambda x: nn.functional.glu(x, 1), 4),
    "chunk": Case(lambda x: torch.maximum(*x.chunk(2, 1)), 4),
    "split": Case(lambda x: (lambda a, b, c, d: torch.cat([d, a * b, c], 1))(*x.split(x.shape[1] // 4, 1)), 2),
    "unequal split": Case(lambda x: (lambda a, b: torch.cat([b, a], 1))(*x.split([3, 5], 1)), 0, Kind.STATED_SIZE),
    "tensor_split of space": Case(lambda x: sum(x.tensor_split(2, 2)), 8),
    "split of space": Case(lambda x: (lambda a, b: a + b)(*x.split(2, 2)), 8),
    # reductions
    "mean of space": Case(lambda x: x.mean((2, 3)), 8),
    "sum of space": Case(lambda x: x.sigmoid().sum((2, 3)), 8),
    "var of space": Case(lambda x: x.var((2, 3)), 8),
    "max of space": Case(lambda x: x.amax((2, 3), keepdim=True), 8),
    "max with indices": Case(lambda x: x.max(2).values, 0),
    "mean of channels": Case(lambda x: x.mean(1, keepdim=True), 0, Kind.TAKEN_OVER),
    "sum of channels": Case(lambda x: x.relu().sum(1, keepdim=True), 8),
    "sum of sigmoids": Case(lambda x: x.sigmoid().sum(1, keepdim=True), 0, Kind.COUNTED),
    "sum of sums": Case(lambda x: (x + 1).sum(1, keepdim=True), 0, Kind.COUNTED),
    "sum of products": Case(lambda x: (x * x.sigmoid()).sum(1, keepdim=True), 8),
    "sum of shifted": Case(lambda x: (x / 2 - x.relu()).sum(1, keepdim=True), 8),
    "sum of clamped": Case(lambda x: x.clamp(min=0.5).sum(1, keepdim=True), 0, Kind.COUNTED),
    "sum of clamped at zero": Case(lambda x: x.clamp(-1, 1).sum(1, keepdim=True), 8),
    "sum of everything": Case(lambda x: x.relu().sum().expand(x.shape[0], 1), 8),
    "norm of channels": Case(lambda x: x.norm(dim=1, keepdim=True), 8),
    "norm of sigmoids": Case(lambda x: x.sigmoid().norm(dim=1, keepdim=True), 0, Kind.COUNTED),
    "largest of channels": Case(lambda x: x.norm(float("-inf"), 1, keepdim=True), 0, Kind.TAKEN_OVER),
    "unit length": Case(lambda x: F.normalize(x, dim=1), 8),
    "cosine similarity": Case(lambda x: F.cosine_similarity(x, x.relu(), dim=1)[:, None], 8),
    "softmax of channels": Case(lambda x: x.softmax(1), 0, Kind.TAKEN_OVER),
    "softmax of space": Case(lambda x: x.flatten(2).softmax(2).view(x.shape), 8),
    "logsumexp of space": Case(lambda x: x.logsumexp((2, 3)), 8),
    # pooling
    "pools": Case(lambda x: F.max_pool2d(x, 2) + F.avg_pool2d(x, 2) + F.adaptive_max_pool2d(x, 2), 8),
    "resize": Case(lambda x: F.interpolate(x, scale_factor=2) + F.interpolate(x, size=(8, 8), mode="bilinear"), 8),
    "pool of channels": Case(lambda x: F.max_pool1d(x.flatten(2).transpose(1, 2), 2), 0, Kind.TAKEN_OVER),
    "shuffle": Case(lambda x: F.pixel_shuffle(x, 2), 2),
    "unshuffle": Case(lambda x: F.pixel_unshuffle(x, 2), 8),
    # products
    "gram": Case(lambda x: x.flatten(2) @ x.flatten(2).transpose(1, 2), 0),
    "positions": Case(lambda x: x.flatten(2).transpose(1, 2) @ x.flatten(2), 8),
    "positions of sigmoids": Case(
        lambda x: x.sigmoid().flatten(2).transpose(1, 2) @ x.sigmoid().flatten(2), 0, Kind.COUNTED
    ),
    "softmax attention": Case(
        lambda x: (lambda t: (t @ t.transpose(1, 2)).softmax(-1) @ t)(x.flatten(2).transpose(1, 2)), 8
    ),
    "a fixed matrix": Case(lambda x: x.flatten(2) @ torch.ones(16, 2), 0),
    "bmm": Case(lambda x: torch.bmm(x.flatten(2).transpose(1, 2), x.flatten(2)), 8),
    "a vector": Case(lambda x: x.flatten(2) @ torch.ones(16), 8),
    "a vector of channels": Case(lambda x: x.flatten(2).transpose(1, 2) @ torch.ones(8), 0, Kind.FIXED_OPERAND),
    "baddbmm": Case(lambda x: torch.baddbmm(torch.ones(16), *pair(x)), 8),
    "equation": Case(lambda x: torch.einsum("nchw,nchv->nhwv", x, x.relu()).flatten(2), 8),
    "equation of sigmoids": Case(
        lambda x: torch.einsum("nchw,nchv->nhwv", x.sigmoid(), x.sigmoid()).flatten(2), 0, Kind.COUNTED
    ),
    "equation of positions": Case(lambda x: torch.einsum("nchw,hv->ncvw", x, grid), 8),
    "equation of three": Case(lambda x: torch.einsum("nchw,hv,wu->ncvu", x, grid, grid), 0, Kind.EQUATION),
    "equation with dots": Case(lambda x: torch.einsum("nc...,nc...->n...", x, x.relu())[:, None], 8),
    "equation without an output": Case(lambda x: torch.einsum("abcd,ce", x, grid), 8),
    "tensordot": Case(lambda x: torch.tensordot(x, grid, dims=([3], [0])), 8),
    # normalisations
    "group norm": Case(lambda x: F.group_norm(x, 2), 4),
    "group norm of single channels": Case(lambda x: F.group_norm(x, 8), 0, Kind.NORMALISED_ALONE),
    "layer norm of everything": Case(lambda x: F.layer_norm(x, x.shape[1:]), 0, Kind.NORMALISED_TOGETHER),
    "layer norm of space": Case(lambda x: F.layer_norm(x, x.shape[2:]), 8),
    "instance norm": Case(F.instance_norm, 8),
    "batch statistics": Case(lambda x: F.batch_norm(x, None, None, training=True), 8),
    # along dimensions
    "cumsum of space": Case(lambda x: x.cumsum(2), 8),
    "cumsum of channels": Case(lambda x: x.cumsum(1), 0, Kind.WORKED_ALONG),
    "sort of space": Case(lambda x: x.sort(2).values, 8),
    "sort": Case(lambda x: x.sort(1).values, 0, Kind.WORKED_ALONG),
    "topk of space": Case(lambda x: x.flatten(2).topk(3, 2).values.mean(2), 8),
    "gather of space": Case(lambda x: x.gather(2, torch.zeros_like(x, dtype=torch.long)), 8),
    "diagonal of space": Case(lambda x: x.diagonal(0, 2, 3).mean(2), 8),
    "index_add in space": Case(lambda x: x.index_add(2, torch.tensor([1]), x[:, :, :1]), 8),
    "index_add of channels": Case(lambda x: x.index_add(1, torch.tensor([1]), x[:, :1]), 0, Kind.PUT_AT_POSITIONS),
    "scatter in space": Case(lambda x: x.scatter(2, torch.zeros_like(x, dtype=torch.long), x.relu()), 8),
    "tril of space": Case(lambda x: x.tril(), 8),
    "fourier of space": Case(lambda x: torch.fft.rfft2(x).abs(), 8),
    "repeat_interleave": Case(lambda x: x.repeat_interleave(2, 1), 8),
    "patches": Case(lambda x: F.unfold(x, 2, stride=2).transpose(1, 2), 8),
    "patches and back": Case(lambda x: F.fold(F.unfold(x, 2, stride=2), 4, 2, stride=2), 8),
    "channel shuffle": Case(lambda x: F.channel_shuffle(x, 2), 4),
    # without rules
    "no rule": Case(torch.special.i0, 0, Kind.NO_RULE),
}


def traced(name: str) -> tuple[Between, Network]:
    torch.manual_seed(0)
    model = Between(CASES[name].operation).eval()
    return model, trace(model, images(size=4))


@pytest.mark.parametrize("name", sorted(CASES))
def test_units_of_a_layer_before_an_operation(name: str) -> None:
    _, network = traced(name)
    expected = CASES[name]
    found = [group for group in network.groups if any(place.tensor == "make.weight" for place in group.places)]

    assert [group.size for group in found] == ([expected.units] if expected.units else [])
    if not expected.units:
        frozen = [g for g in network.frozen if any(place.tensor == "make.weight" for place in g.places)]
        assert frozen
        assert expected.kind in {None, *(reason.kind for group in frozen for reason in group.reasons)}


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if case.units))
@pytest.mark.parametrize("seed", [0, 1])
def test_removing_before_an_operation_is_zeroing(name: str, seed: int) -> None:
    model, network = traced(name)
    rng = np.random.default_rng(seed)
    kept = [np.sort(rng.permutation(group.size)[: max(1, group.size // 2)]) for group in network.groups]

    verify(model, remove(model, network, kept), network, kept, images(size=4))


def test_a_thousand_operations_in_a_row_are_no_deeper_than_one() -> None:
    def many(x: Tensor) -> Tensor:
        for _ in range(1000):
            x = x + 1
        return x[:, :6]

    network = trace(Between(many).eval(), images(size=4))

    assert any(place.tensor == "make.weight" for group in network.groups for place in group.places)
