import dataclasses
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.utils.env_checker import check_env

from gnnrl.agent.observation import EDGE_TYPES, GraphState, observation_space, to_space
from tests.agent.problems import chain, permuted


class OneStep(gymnasium.Env[GraphState, np.ndarray[Any, Any]]):
    def __init__(self) -> None:
        self.observation = chain(num_groups=3)
        self.observation_space = observation_space(self.observation)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[GraphState, dict[str, Any]]:
        super().reset(seed=seed)
        return to_space(self.observation), {}

    def step(self, action: np.ndarray[Any, Any]) -> tuple[GraphState, float, bool, bool, dict[str, Any]]:
        return to_space(self.observation), float(action.sum()), True, False, {}


def test_an_observation_is_contained_in_its_space() -> None:
    observation = chain()
    assert observation_space(observation).contains(to_space(observation))


def test_a_later_state_with_other_motifs_and_edges_is_contained_too() -> None:
    later = dataclasses.replace(chain(num_motifs=4), edge_index=torch.tensor([[0], [1]]), edge_type=torch.tensor([0]))
    assert observation_space(chain(num_motifs=2)).contains(to_space(later))


def test_a_state_with_another_number_of_groups_is_not_contained() -> None:
    assert not observation_space(chain(num_groups=4)).contains(to_space(chain(num_groups=5)))


def test_a_network_without_edges_is_contained() -> None:
    lonely = chain(num_groups=1, num_motifs=1)
    bare = dataclasses.replace(
        lonely,
        edge_index=torch.empty(2, 0, dtype=torch.int64),
        edge_type=torch.empty(0, dtype=torch.int64),
        operation_edge_index=torch.empty(2, 0, dtype=torch.int64),
    )
    assert observation_space(bare).contains(to_space(bare))


def test_both_levels_keep_their_features_and_edges() -> None:
    observation = permuted(chain(3), torch.randperm(6))
    state = to_space(observation)
    for graph, x, edges in (
        (state["operations"], observation.operation_x, observation.operation_edge_index),
        (state["nodes"], observation.x, observation.edge_index),
    ):
        assert np.array_equal(graph.nodes, x)
        assert np.array_equal(graph.edge_links.T, edges)
    assert np.array_equal(state["nodes"].edges, np.eye(len(EDGE_TYPES))[observation.edge_type])
    for name in ("operation_motif", "motif", "group_nodes"):
        assert np.array_equal(state[name], getattr(observation, name))


def test_gymnasium_accepts_an_environment_with_these_observations() -> None:
    check_env(OneStep(), skip_render_check=True)


def test_motifs_and_groups_are_counted() -> None:
    observation = chain(num_groups=5, num_motifs=3)
    assert (observation.num_groups, observation.num_motifs) == (5, 3)
