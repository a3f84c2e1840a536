import dataclasses
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from gnnrl.agent.observation import Observation, from_space, observation_space, to_space
from tests.agent.problems import chain, permuted


class OneStep(gymnasium.Env[dict[str, Any], np.ndarray[Any, Any]]):
    def __init__(self) -> None:
        self.observation = chain(num_groups=3)
        self.observation_space = observation_space(self.observation)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        return to_space(self.observation), {}

    def step(self, action: np.ndarray[Any, Any]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        return to_space(self.observation), float(action.sum()), True, False, {}


def equal(left: Observation, right: Observation) -> bool:
    return all(torch.equal(vars(left)[name], vars(right)[name]) for name in vars(left))


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
    assert equal(from_space(to_space(bare)), bare)


@pytest.mark.parametrize("observation", [chain(), chain(7, num_motifs=3), permuted(chain(3), torch.randperm(6))])
def test_there_and_back_is_the_same_observation(observation: Observation) -> None:
    assert equal(from_space(to_space(observation)), observation)


def test_gymnasium_accepts_an_environment_with_these_observations() -> None:
    check_env(OneStep(), skip_render_check=True)


def test_motifs_and_groups_are_counted() -> None:
    observation = chain(num_groups=5, num_motifs=3)
    assert (observation.num_groups, observation.num_motifs) == (5, 3)


def test_everything_that_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"edge_type is torch.int64 \[3\].*motif is torch.float32"):
        dataclasses.replace(chain(), edge_type=torch.zeros(3, dtype=torch.int64), motif=torch.zeros(8))
