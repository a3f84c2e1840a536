"""The blocks and layers that a drawing shows."""

from itertools import pairwise

import pytest
import torch

from gnnrl.network.cost import measure
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan
from gnnrl.report.blocks import find_runs
from gnnrl.zoo.models import resolve_model
from tests.topologies import Traced, traced


def test_layers_of_a_drawing_are_those_of_the_pruned_network(case: Traced) -> None:
    halves = (case.network.widths + 1) // 2
    plan = Plan.of_widths(case.network, halves, [torch.randperm(n).numpy() for n in case.network.widths])
    small = dict(remove(case.model, case.network, plan.kept or ()).named_parameters())
    layers = [layer for run in find_runs(case.network, plan) for layer in run.layers]
    weights = {
        operation.module: (operation.parameters["weight"], int("transpose" in operation.name))
        for operation in case.network.operations
        if "weight" in operation.parameters
    }

    assert layers
    for layer in layers:
        name, dim = weights.get(layer.name, (layer.name, 0))
        assert layer.pruned == small[name].shape[dim], layer.name
        assert 0 <= layer.fixed <= layer.pruned <= layer.dense
        assert bool(layer.stays) <= bool(layer.fixed)
    whole = measure(case.network, plan).macs / measure(case.network).macs
    assert sum(layer.macs_left for layer in layers) <= whole + 1e-9


def test_blocks_of_one_kind_that_follow_each_other_are_folded() -> None:
    runs = find_runs(traced("residual").network)
    names = [block.name for run in runs for block in run.blocks]

    assert len(runs) <= len(names)
    for one, other in pairwise(runs):
        assert one.kinds != other.kinds


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        (
            "cifar-resnet20",
            (1, 3, 32, 32),
            ["conv1", "layer1.0 … 2", "layer2.0", "layer2.1 … 2", "layer3.0", "layer3.1 … 2"],
        ),
        ("timm:vit_tiny_patch16_224", (1, 3, 224, 224), ["patch_embed.proj", "blocks.0 … 11", "head"]),
        ("timm:efficientnet_b0", (1, 3, 32, 32), ["conv_stem", "blocks.0.0", "blocks.1.0", "blocks.1.1"]),
        ("torchvision:vgg11", (1, 3, 32, 32), ["features", "classifier"]),
    ],
)
def test_a_drawing_has_the_blocks_that_a_person_would_name(name: str, shape: tuple[int, ...], said: list[str]) -> None:
    if ":" in name:
        pytest.importorskip(name.partition(":")[0])
    found = [run.name for run in find_runs(trace(resolve_model(name), (torch.randn(shape),)))]

    assert found[: len(said)] == said
