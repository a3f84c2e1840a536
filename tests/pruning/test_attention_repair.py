"""torch's own attention in repair and error curves: its projections are layers as any others."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from gnnrl.modules.attention import narrowed
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.reconstruction import Repair, repair


class Reader(nn.Module):
    """torch's encoder between two linear layers."""

    def __init__(self, norm_first: bool, batch_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, norm_first=norm_first, batch_first=batch_first)
        self.embed = nn.Linear(6, 16)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head, self.batch_first = nn.Linear(16, 4), batch_first

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs of all tokens."""
        x = self.embed(x)
        y = self.encoder(x) if self.batch_first else self.encoder(x.transpose(0, 1)).transpose(0, 1)
        found: Tensor = self.head(y)
        return found


def sequences(count: int) -> Tensor:
    return torch.randn(count, 5, 6)


def pictures(count: int) -> Tensor:
    return torch.randn(count, 3, 8, 8)


def vision_transformer() -> nn.Module:
    return VisionTransformer(8, 4, num_layers=2, num_heads=4, hidden_dim=16, mlp_dim=32, num_classes=4)


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Tensor]]] = {
    "encoder": (lambda: Reader(False, True), sequences),
    "encoder, norm first": (lambda: Reader(True, True), sequences),
    "encoder, sequence first": (lambda: Reader(True, False), sequences),
    "vision transformer": (vision_transformer, pictures),
}


def trained(name: str) -> tuple[nn.Module, Callable[[int], Tensor]]:
    """A network after some steps towards a smooth function of its inputs."""
    torch.manual_seed(0)
    build, draw = CASES[name]
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(60):
        x = draw(64)
        goal = (
            (x.unflatten(-1, (-1, 4)).mean((1, 2, 3)) if x.ndim == 4 else (x + 2 * x.roll(1, 1))[..., :4]).mul(2).tanh()
        )
        loss = F.mse_loss(model(x), goal)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return model.eval(), draw


def prune(model: nn.Module, draw: Callable[[int], Tensor]) -> tuple[Any, list[np.ndarray], nn.Module]:
    network = trace(model, draw(2))
    kept = [np.arange(max(1, round(0.7 * group.size))) for group in network.groups]
    return network, kept, remove(model, network, kept)


@pytest.mark.parametrize("name", CASES)
def test_repair_lowers_the_error_of_attention_networks(name: str) -> None:
    model, draw = trained(name)
    network, kept, small = prune(model, draw)
    unseen, record = draw(128), calibrate(model, [draw(256)])
    alone = copy.deepcopy(small)

    repair(small, network, kept, record)
    _without_attention(record)
    repair(alone, network, kept, record)

    with torch.no_grad():
        dense = model(unseen)
        errors = [float((net(unseen) - dense).square().mean() / dense.var()) for net in (small, alone)]
        raw = float((remove(model, network, kept)(unseen) - dense).square().mean() / dense.var())
    assert errors[0] < 0.6 * raw
    assert errors[0] < errors[1]


def _without_attention(record: Any) -> None:
    for order in [order for order, entry in record.layers.items() if "in_proj" in entry.name or "attn" in entry.name]:
        del record.layers[order]


@pytest.mark.parametrize("name", CASES)
def test_heads_and_streams_of_attention_networks_have_curves(name: str) -> None:
    model, draw = trained(name)
    network = trace(model, draw(2))
    record = calibrate(model, [draw(64)])

    projections = [entry for entry in record.layers.values() if "in_proj" in entry.name or "out_proj" in entry.name]

    assert len(projections) == 4
    assert all(entry.moments is not None for entry in projections)
    assert all(entry.branch_target is not None for entry in projections if "out_proj" in entry.name)
    for group, curve in zip(network.groups, error_curves(model, network, record), strict=True):
        if any("in_proj" in place.tensor for place in group.places):
            weights = error_curves(model, network, None)[network.groups.index(group)]
            assert not np.allclose(curve.error, weights.error)


def test_queries_and_keys_of_different_tensors_are_rows_of_one_weight() -> None:
    torch.manual_seed(0)

    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(8, 8), nn.Linear(8, 8)
            self.attention, self.out = nn.MultiheadAttention(8, 4, batch_first=True), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            left, right = self.left(x), self.right(x).tanh()
            found: Tensor = self.out(left + self.attention(left, right, right)[0])
            return found

    model, x = Cross().eval(), torch.randn(128, 5, 8)
    network, record = trace(model, x[:2]), calibrate(model, [x])
    kept = [np.arange(group.size) for group in network.groups]
    small = remove(model, network, kept)
    with torch.no_grad():
        small.attention.in_proj_weight *= 1 + torch.rand(24, 1)
        small.attention.in_proj_bias += 1

    repair(small, network, kept, record, Repair(ridge=1e-12, per_input=0.0))

    assert [(entry.name, entry.first) for entry in record.layers.values() if "in_proj" in entry.name] == [
        ("attention.in_proj_weight", 0),
        ("attention.in_proj_weight", 8),
        ("attention.in_proj_weight", 16),
    ]
    torch.testing.assert_close(small.attention.in_proj_weight, model.attention.in_proj_weight, rtol=0, atol=0.06)
    torch.testing.assert_close(small.attention.in_proj_bias, model.attention.in_proj_bias, rtol=0, atol=0.06)


def test_an_attention_is_itself_again_after_it_was_watched() -> None:
    model = nn.MultiheadAttention(8, 4)
    before = dict(vars(model))
    with narrowed(model):
        assert type(model) is not nn.MultiheadAttention

    assert type(model) is nn.MultiheadAttention
    assert vars(model) == before
