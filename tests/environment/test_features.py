import numpy as np
import pytest
import torch

from gnnrl.environment.features import NODE_FEATURES, observe
from gnnrl.network.cost import Budget
from gnnrl.network.hierarchy import find_hierarchy
from tests.topologies import Traced, traced


def budget(case: Traced) -> Budget:
    return Budget.of("macs<=50%", case.network.cost.measure(case.network.widths))


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
