import dataclasses

import pytest
import torch

from gnnrl.agent.batching import batch
from tests.agent.problems import chain, with_features


def test_the_same_state_is_kept_once_and_every_observation_points_to_it() -> None:
    joined = batch([chain(num_groups=4), chain(num_groups=4)])
    assert (len(joined), joined.num_graphs, joined.num_motifs) == (2, 1, 2)
    assert joined.group_nodes.tolist() == [4, 5, 6, 7, 4, 5, 6, 7]
    assert joined.group_observation.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_two_states_of_one_network_share_their_motifs() -> None:
    first = chain(num_groups=2)
    joined = batch([first, with_features(first, first.x + 1)])
    assert (joined.num_graphs, joined.num_motifs, len(joined.operation_x)) == (2, 2, 6)
    assert joined.motif.tolist() == [0, 1, -1, -1, 0, 1, -1, -1]


def test_two_networks_keep_their_own_motifs_and_groups() -> None:
    joined = batch([chain(num_groups=2), chain(num_groups=3, seed=1, num_motifs=3)])
    assert joined.num_motifs == 5
    assert joined.motif.tolist() == [0, 1, -1, -1, 2, 3, 4, -1, -1, -1]
    assert joined.operation_motif.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert joined.group_nodes.tolist() == [2, 3, 7, 8, 9]
    assert joined.batch.tolist() == [0] * 4 + [1] * 6


def test_edges_stay_inside_their_graph() -> None:
    joined = batch([chain(num_groups=2), chain(num_groups=3)])
    assert torch.equal(joined.batch[joined.edge_index[0]], joined.batch[joined.edge_index[1]])
    ends = joined.operation_motif[joined.operation_edge_index]
    assert torch.equal(ends[0], ends[1])


def test_order_of_observations_is_kept_when_some_are_equal() -> None:
    small, large = chain(num_groups=2), chain(num_groups=3)
    joined = batch([large, small, large])
    assert joined.observation_graph.tolist() == [0, 1, 0]
    assert joined.group_nodes.tolist() == [3, 4, 5, 8, 9, 3, 4, 5]


def test_a_motif_without_operations_is_counted() -> None:
    observation = chain(num_groups=2)
    empty = dataclasses.replace(observation, motif=torch.tensor([0, 5, -1, -1]))
    assert batch([empty]).num_motifs == 6


def test_no_observations_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        batch([])
