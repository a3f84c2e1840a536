"""What the units of a group are for."""

from collections import Counter

import pytest
import timm
import torch
import torchvision
from torch import nn

from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from tests.topologies import traced


def kinds(network: Network) -> dict[str, str]:
    return {group.name: group.kind for group in network.groups}


def test_a_vision_transformer_has_heads_hidden_layers_and_a_stream() -> None:
    model = timm.create_model("deit_tiny_patch16_224", depth=2)
    network = trace(model, torch.zeros(1, 3, 224, 224))

    assert kinds(network) == {
        "patch_embed.proj": "stream",
        "blocks.0.attn.qkv": "heads",
        "blocks.0.mlp.fc1": "hidden",
        "blocks.1.attn.qkv": "heads",
        "blocks.1.mlp.fc1": "hidden",
    }


def test_a_resnet_has_streams_and_channels() -> None:
    network = trace(torchvision.models.resnet18(), torch.zeros(1, 3, 64, 64))

    assert Counter(kinds(network).values()) == {"stream": 4, "channels": 8}
    assert kinds(network)["conv1"] == "stream"
    assert kinds(network)["layer1.0.conv1"] == "channels"


def test_a_convnext_has_streams_and_hidden_layers() -> None:
    model = timm.create_model("convnext_atto", depths=(1, 1, 2, 1))
    network = trace(model, torch.zeros(1, 3, 64, 64))

    assert Counter(kinds(network).values()) == {"stream": 4, "hidden": 5}


@pytest.mark.parametrize(
    ("name", "layer", "kind"),
    [
        ("attention", "1.qkv", "heads"),
        ("attention_fused", "1.qkv", "heads"),
        ("linear_attention", "v", "channels"),
        ("layer_norm_mlp", "", "stream"),
        ("bottleneck", "", "channels"),
    ],
)
def test_kinds_of_groups_of_small_networks(name: str, layer: str, kind: str) -> None:
    assert any(found.startswith(layer) and of == kind for found, of in kinds(traced(name).network).items())


def test_a_gated_hidden_layer_is_one() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.up, self.down = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.down(nn.functional.silu(self.gate(x)) * self.up(x)) + x

    network = trace(nn.Sequential(nn.Linear(4, 6), Gated(), nn.Linear(6, 3)), torch.randn(2, 5, 4))

    assert [group.kind for group in network.groups] == ["stream", "hidden"]
