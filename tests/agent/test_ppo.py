import dataclasses
import json

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from gnnrl.agent.batching import ObservationBatch
from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import ActorCritic, Policy
from gnnrl.agent.ppo import PPO, PPOConfig
from gnnrl.agent.rollout import Rollout, Step
from tests.agent.problems import chain, free_gaussian, play_bandit, with_features

OBSERVATION = chain(num_groups=4)
TARGET = torch.tensor([0.6, -0.4, 0.2, -0.8])


def small(observation: Observation = OBSERVATION) -> ActorCritic:
    return ActorCritic.build(observation, hidden_dim=16, embedding_dim=16, layers=(1, 2))


def error(policy: Policy) -> float:
    return (policy.act(OBSERVATION, deterministic=True).action - TARGET).square().mean().item()


def test_a_bandit_with_a_known_answer_is_solved_by_the_graph_policy() -> None:
    policy = small()
    play_bandit(PPO(policy, PPOConfig(), seed=0), OBSERVATION, TARGET, updates=15)
    assert error(policy) < 0.1 * TARGET.square().mean()


def test_a_bandit_with_a_known_answer_is_solved_by_the_free_gaussian() -> None:
    policy = free_gaussian()
    play_bandit(PPO(policy, PPOConfig(learning_rate=2e-2), seed=0), OBSERVATION, TARGET, updates=15)
    assert error(policy) < 0.1 * TARGET.square().mean()


def play_two_steps(ppo: PPO, states: tuple[Observation, Observation]) -> tuple[float, Rollout]:
    """The first state wants +0.5 and the second −0.5, and only the end of the episode pays for either."""
    first, second = (ppo.act(state) for state in states)
    reward = -(first.action - 0.5).square().mean().item() - (second.action + 0.5).square().mean().item()
    return reward, Rollout(
        [
            Step(states[0], first, 0.0, False, next_value=second.value),
            Step(states[1], second, reward, True),
        ]
    )


def test_a_decision_process_of_two_steps_is_solved() -> None:
    start = chain(num_groups=2)
    states = start, with_features(start, -start.x)
    policy = small(start)
    ppo = PPO(policy, PPOConfig(batch_size=20), seed=0)
    for _ in range(30):
        rollout = Rollout([step for _ in range(10) for step in play_two_steps(ppo, states)[1].steps])
        stats = ppo.update(rollout)
    assert stats.value_loss > 0
    actions = [policy.act(state, deterministic=True).action.mean().item() for state in states]
    assert actions == pytest.approx([0.5, -0.5], abs=0.25)


def test_the_first_ratio_of_every_update_is_one() -> None:
    stats = play_bandit(PPO(small(), PPOConfig(batch_size=3), seed=0), OBSERVATION, TARGET, updates=5)
    assert max(update.first_ratio_deviation for update in stats) < 1e-5
    assert all(update.n_updates > 0 for update in stats)


class Forgetful(nn.Module):
    """An actor with dropout, the fault of the original code: what it says now is not what it said then."""

    def __init__(self, actor: nn.Module) -> None:
        super().__init__()
        self.actor = actor

    def forward(self, batch: ObservationBatch) -> torch.Tensor:
        return nn.functional.dropout(self.actor(batch) + 1)


def test_a_policy_that_contradicts_itself_is_caught() -> None:
    honest = small()
    ppo = PPO(ActorCritic(Forgetful(honest.actor), honest.critic), PPOConfig(), seed=0)
    with pytest.raises(RuntimeError, match="dropout"):
        play_bandit(ppo, OBSERVATION, TARGET, updates=1)


def test_the_same_seed_plays_the_same_game_and_another_does_not() -> None:
    def weights(seed: int) -> torch.Tensor:
        policy = small()
        play_bandit(PPO(policy, PPOConfig(batch_size=4), seed=seed), OBSERVATION, TARGET, updates=2)
        return nn.utils.parameters_to_vector(policy.parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_a_reward_that_is_not_finite_changes_nothing_and_is_reported() -> None:
    policy = free_gaussian()
    ppo = PPO(policy, PPOConfig(), seed=0)
    decision = ppo.act(OBSERVATION)
    rollout = Rollout([Step(OBSERVATION, decision, reward, True) for reward in (1.0, float("nan"))])
    stats = ppo.update(rollout)
    assert (stats.stop, stats.n_updates) == ("non_finite", 0)
    assert policy.actor.mean.tolist() == [0.0] * 4


def test_equal_rewards_teach_nothing() -> None:
    policy = free_gaussian()
    ppo = PPO(policy, PPOConfig(), seed=0)
    decisions = [ppo.act(OBSERVATION) for _ in range(4)]
    ppo.update(Rollout([Step(OBSERVATION, decision, 0.5, True) for decision in decisions]))
    assert policy.actor.mean.tolist() == [0.0] * 4


def test_asking_for_the_mode_does_not_disturb_the_random_state() -> None:
    ppo = PPO(free_gaussian(), PPOConfig(), seed=0)
    before = ppo.generator.get_state()
    assert ppo.act(OBSERVATION, deterministic=True).value == 0.0
    assert torch.equal(ppo.generator.get_state(), before)


def test_an_empty_rollout_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        PPO(free_gaussian(), PPOConfig(), seed=0).update(Rollout())


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="lr"):
        PPOConfig.model_validate({"lr": 1e-3})


def test_statistics_can_be_written_as_json() -> None:
    stats = play_bandit(PPO(free_gaussian(), PPOConfig(), seed=0), OBSERVATION, TARGET, updates=1)[0]
    assert json.loads(json.dumps(dataclasses.asdict(stats))) == dataclasses.asdict(stats)
