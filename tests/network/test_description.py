"""A network in words."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.description import Description
from gnnrl.network.tracing.tracer import trace
from tests.topologies import TOPOLOGIES, Head, images, traced


class Sparing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 3)
        self.embedding = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.out(self.a(x) if y is None else self.a(x) + self.b(y))


def test_modules_that_the_inputs_do_not_run_are_named() -> None:
    x = torch.randn(4, 8)
    network = trace(Sparing(), x)

    assert network.unrun == ("b", "embedding")
    assert "Not run by these inputs, left unchanged: 2 modules: b, embedding." in str(network)
    assert Description.of(network).to_dict()["unrun"] == ("b", "embedding")
    assert "Not run by these inputs, left unchanged: 2 modules: b, embedding." in network._repr_html_()
    assert trace(Sparing(), (x, x)).unrun == ("embedding",)


@pytest.mark.parametrize("name", sorted(set(TOPOLOGIES) - {"unused_parameter"}))
def test_what_a_network_runs_is_not_told_to_be_spared(name: str) -> None:
    case = traced(name)

    assert "Not run" not in str(case.network), case.network.unrun


@pytest.mark.parametrize(
    "normed",
    [
        torch.nn.utils.parametrizations.weight_norm,
        torch.nn.utils.parametrizations.spectral_norm,
    ],
)
def test_groups_of_parametrized_layers_have_the_name_and_the_share_of_the_plain_ones(
    normed: Callable[[nn.Module], nn.Module],
) -> None:
    def build(change: Callable[[nn.Module], nn.Module]) -> nn.Module:
        return nn.Sequential(change(nn.Conv2d(3, 8, 3)), nn.ReLU(), change(nn.Conv2d(8, 6, 3)), Head(6))

    plain = Description.of(trace(build(lambda layer: layer), images()))
    found = Description.of(trace(build(normed), images()))

    rows = [(row.name, row.macs_share, row.layers) for row in found.shrinking]
    assert rows == [(row.name, row.macs_share, row.layers) for row in plain.shrinking]


def test_a_network_prints_as_a_table_with_reasons() -> None:
    text = str(traced("spatial_attention").network)

    assert "a.0" in text
    assert "mean is taken over these channels" in text
