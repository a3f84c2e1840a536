import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.environment.features import NODE_FEATURES, observe
from gnnrl.network.cost import Budget
from gnnrl.network.hierarchy import describe, find_hierarchy
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from tests.topologies import Head, Traced, conv, images, randomise, traced
from tests.topologies.residual import BasicBlock


def budget(case: Traced) -> Budget:
    return Budget.of("macs<=50%", case.network.cost.measure(case.network.widths))


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
    assert describe(find_hierarchy(stack.network))["1"] == 4


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


def test_observations_are_finite_equal_when_asked_twice_and_change_with_the_widths(case: Traced) -> None:
    hierarchy = find_hierarchy(case.network)
    first, second = (observe(hierarchy, case.network.widths, budget(case)) for _ in range(2))

    assert first.num_groups == len(case.network.groups)
    for name, tensor in vars(first).items():
        assert torch.equal(tensor, getattr(second, name)), name
        assert bool(torch.isfinite(tensor.double()).all()), name
    if case.network.groups:
        narrow = observe(hierarchy, np.maximum(case.network.widths // 2, 1), budget(case))
        assert not torch.equal(first.x, narrow.x)
        assert torch.equal(first.edge_index, narrow.edge_index)


def test_features_do_not_grow_with_the_network(case: Traced) -> None:
    observation = observe(find_hierarchy(case.network), case.network.widths, budget(case))

    assert float(observation.x.abs().max()) < 20
    assert float(observation.operation_x.abs().max()) < 20


def test_the_observation_of_a_pruned_network_says_that_it_meets_its_budget() -> None:
    case = traced("residual")
    hierarchy = find_hierarchy(case.network)
    column = NODE_FEATURES - 3
    dense = observe(hierarchy, case.network.widths, budget(case))
    narrow = observe(hierarchy, np.ones_like(case.network.widths), budget(case))

    assert dense.x[:, column].unique().item() == pytest.approx(1.0, abs=1e-3)
    assert narrow.x[:, column].max() < 0


def test_signals_are_shown_to_the_groups_alone() -> None:
    case = traced("residual")
    hierarchy = find_hierarchy(case.network)
    signals = np.arange(6, dtype=np.float32).reshape(3, 2) + 1

    observation = observe(hierarchy, case.network.widths, budget(case), signals=signals, time=0.5)

    count = len(hierarchy.instances)
    assert observation.x.shape[1] == NODE_FEATURES + 2
    assert observation.x[count:, -2:].tolist() == signals.tolist()
    assert not observation.x[:count, -2:].any()
    assert (observation.x[:, NODE_FEATURES - 1] == 0.5).all()


def test_edges_come_in_both_directions() -> None:
    observation = observe(
        find_hierarchy(traced("concat").network), traced("concat").network.widths, budget(traced("concat"))
    )
    forward = {tuple(edge) for edge in observation.edge_index.T.tolist()}

    assert forward == {(b, a) for a, b in forward}
