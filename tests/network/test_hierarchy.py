import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.network.hierarchy import find_hierarchy
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from tests.topologies import Head, Traced, conv, images, randomise
from tests.topologies.residual import BasicBlock


@pytest.fixture(scope="module")
def stack() -> Traced:
    """Four equal residual blocks, the first two at one resolution and width, and one with another kernel."""
    torch.manual_seed(0)
    odd = BasicBlock(12, 12)
    odd.conv1 = conv(12, 12, 5)
    down = BasicBlock(8, 12, 2, conv(8, 12, 1, relu=False, stride=2))
    blocks = [BasicBlock(8, 8), BasicBlock(8, 8), down, BasicBlock(12, 12), BasicBlock(12, 12), odd]
    model = nn.Sequential(conv(3, 8), *blocks, Head(12))
    randomise(model)
    return Traced("stack", model.eval(), images(), trace(model, images()))


def motif_of(case: Traced) -> dict[str, int]:
    return {instance.name: instance.motif for instance in find_hierarchy(case.network).instances}


def test_equal_blocks_are_one_motif_whatever_their_width_and_resolution(stack: Traced) -> None:
    found = motif_of(stack)

    assert found["1"] == found["2"] == found["4"] == found["5"]
    assert "6" not in found  # nothing is like it, so it is seen layer by layer
    assert list(found.values()).count(found["1"]) == 4


def test_equal_blocks_stay_one_motif_when_they_are_narrowed_differently(stack: Traced) -> None:
    rng = np.random.default_rng(0)
    kept = [np.arange(rng.integers(1, group.size + 1)) for group in stack.network.groups]
    small = remove(stack.model, stack.network, kept)

    again = Traced("small", small, stack.example_inputs, trace(small, stack.example_inputs))

    assert motif_of(again) == motif_of(stack)


def test_operations_belong_to_exactly_one_instance(case: Traced) -> None:
    hierarchy = find_hierarchy(case.network)
    found = sorted(number for instance in hierarchy.instances for number in instance.operations)

    assert found == list(range(len(case.network.operations)))
    assert len(hierarchy.motifs) <= len(hierarchy.instances)


def test_every_group_lives_in_an_instance(case: Traced) -> None:
    assert all(find_hierarchy(case.network).members)
