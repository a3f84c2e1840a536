import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gnnrl.agent.ddpg import DDPG, DDPGConfig, td_target, truncated_normal


def test_the_target_is_the_reward_plus_what_follows_unless_the_walk_is_over() -> None:
    target = td_target(torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0]), torch.tensor([0.0, 1.0]))

    assert target.tolist() == [11.0, 2.0]


def test_noise_stays_within_the_unit_interval_and_none_is_none() -> None:
    rng = np.random.default_rng(0)
    drawn = [truncated_normal(0.9, 0.5, rng) for _ in range(200)]

    assert 0 <= min(drawn) < 0.3
    assert 0.9 < max(drawn) <= 1
    assert truncated_normal(0.3, 0.0, rng) == 0.3


def test_noise_decays_where_plans_are_new_and_grows_where_they_repeat() -> None:
    agent = DDPG(3, DDPGConfig(noise=0.5, noise_decay=0.5), seed=0)
    agent.end_episode(is_new=True)
    assert agent.noise == 0.25
    agent.end_episode(is_new=False)
    assert agent.noise == 0.5


def test_the_first_decision_is_nearly_a_half() -> None:
    assert DDPG(4, DDPGConfig(noise=0), seed=1).act(np.ones(4, np.float32)) == pytest.approx(0.5, abs=0.02)


def test_it_learns_which_action_is_rewarded_in_which_state() -> None:
    """Two states, one step each: 0.9 is best in the first, 0.1 in the second."""
    agent = DDPG(2, DDPGConfig(actor_learning_rate=1e-3, hidden_dim=64, noise=0.3, noise_decay=0.99), seed=0)
    best = {0: 0.9, 1: 0.1}
    for episode in range(250):
        state = np.eye(2, dtype=np.float32)[[episode % 2]]
        action = agent.act(state[0])
        agent.remember(state, np.array([action], np.float32), -((action - best[episode % 2]) ** 2))
        agent.end_episode(is_new=True)
        for _ in range(4):
            agent.update()

    agent.noise = 0.0
    for index, action in best.items():
        assert agent.act(np.eye(2, dtype=np.float32)[index]) == pytest.approx(action, abs=0.15)


def test_the_same_seed_acts_and_learns_alike() -> None:
    def decisions() -> list[float]:
        agent = DDPG(2, DDPGConfig(hidden_dim=8), seed=4)
        states = np.array([[0, 1], [1, 0]], np.float32)
        for reward in (0.0, 1.0):
            agent.remember(states, np.array([agent.act(state) for state in states], np.float32), reward)
            agent.update()
        return [agent.act(state) for state in states]

    assert decisions() == decisions()


def test_settings_are_validated() -> None:
    with pytest.raises(ValidationError):
        DDPGConfig(tau=2.0)
    with pytest.raises(ValidationError):
        DDPGConfig.model_validate({"unknown": 1})
