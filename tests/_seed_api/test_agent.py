"""The paper's agent: settings, memory and learning."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnrl.agent.ppo import PPOStats
from gnnrl.errors import ConfigError
from gnnrl.graph_env.graph_environment import graph_env
from gnnrl.lib.RL import agent as paper
from gnnrl.lib.RL.agent import Agent, Memory
from tests._seed_api.documented import ActorCritic
from tests._seed_api.problem import ACTOR_CRITICS, play


# Agent and networks
def test_the_documented_agent_is_made_with_its_defaults() -> None:
    state_dim = 30
    action_dim = 20
    agent = Agent(state_dim, action_dim)
    assert agent.policy.actor.nb_actions == 20
    assert (agent.lr, agent.betas, agent.gamma, agent.K_epochs, agent.eps_clip) == (3e-4, (0.9, 0.999), 0.99, 10, 0.2)


def test_the_released_script_makes_its_agent_by_keyword() -> None:
    agent = Agent(
        state_dim=20, action_dim=5, action_std=0.5, lr=0.0003, betas=(0.8, 0.99), gamma=0.98, K_epochs=7, eps_clip=0.1
    )
    assert (agent.policy.actor.graph_encoder.g_in_size, agent.policy.actor.nb_actions) == (20, 5)
    assert (agent.lr, agent.betas, agent.gamma, agent.K_epochs, agent.eps_clip) == (0.0003, (0.8, 0.99), 0.98, 7, 0.1)


def test_wrong_settings_of_an_agent_are_refused_together() -> None:
    with pytest.raises(ConfigError, match=r"action_std must be above 0, not 0; eps_clip must be in \(0, 1\), not 2"):
        Agent(30, 20, action_std=0, eps_clip=2)


# Learning
@ACTOR_CRITICS
def test_the_agent_learns_which_layer_to_remove_from(env: graph_env, actor_critic: Any) -> None:
    """The reward likes a large ratio for group 1 and small ones for the others."""
    agent, memory, state = Agent(30, 4, lr=1e-3, actor_critic=actor_critic), Memory(), env.reset()
    wanted = np.array([-1.0, 1.0, -1.0, -1.0])
    before = agent.policy.actor(state).detach()[0]
    for _ in range(6):
        for _ in range(16):
            memory.rewards.append(float(agent.select_action(state, memory) @ wanted))
            memory.is_terminals.append(True)
        stats = agent.update(memory)
        memory.clear_memory()
        assert stats.first_ratio_deviation < 1e-4
    moved = (agent.policy.actor(state).detach()[0] - before).numpy() * wanted
    assert (moved > 0.1).all()


def test_the_policy_learns_to_act_by_the_state(env: graph_env) -> None:
    """Every state of the memory is judged: two states with opposite wishes get different actions."""
    agent, memory = Agent(30, 4, lr=2e-3), Memory()
    first = env.reset()
    second = env.step(np.full(4, 0.25))[0]
    for _ in range(8):
        for _ in range(8):
            for state, sign in ((first, 1.0), (second, -1.0)):
                memory.rewards.append(sign * float(agent.select_action(state, memory).sum()))
                memory.is_terminals.append(True)
        agent.update(memory)
        memory.clear_memory()
    means = agent.policy.actor([first, second])
    assert means[0].mean() > means[1].mean() + 0.3


def test_returns_are_discounted_sums_of_each_episode() -> None:
    """γ = ½, episodes (1, 2) and (4): returns 2, 2, 4, normalised by mean 8/3 and deviation √8/3."""
    from gnnrl._seed_api.agent import _returns

    memory = Memory()
    memory.rewards, memory.is_terminals = [1, 2, 4], [False, True, True]
    expected = (torch.tensor([2.0, 2.0, 4.0]) - 8 / 3) / (8**0.5 / 3)
    assert torch.allclose(_returns(memory, 3, 0.5), expected, atol=1e-4)


def test_old_and_new_policy_agree_after_an_update(env: graph_env) -> None:
    agent, memory = Agent(30, 4, K_epochs=2), Memory()
    play(env, agent, memory)
    play(env, agent, memory)
    stats = agent.update(memory)
    assert isinstance(stats, PPOStats)
    assert stats.n_updates == 2
    assert torch.equal(agent.policy.actor(env.reset()), agent.policy_old.actor(env.reset()))


def test_a_policy_can_be_assigned(env: graph_env) -> None:
    agent, memory = Agent(30, 4), Memory()
    agent.policy = ActorCritic(30, 4, 0.2)
    before = agent.policy.actor(env.reset()).detach()
    play(env, agent, memory, pay=lambda action: float(action[0]))
    play(env, agent, memory, pay=lambda action: float(action[0]))
    agent.update(memory)
    assert isinstance(agent.policy_old, ActorCritic)
    assert not torch.equal(agent.policy.actor(env.reset()), before)


class Dropping(paper.ActorCritic):
    """Draws its dropout also in evaluation mode."""

    def evaluate(self, state: Any, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_prob, value, entropy = super().evaluate(state, action)
        return nn.functional.dropout(log_prob, training=True), value, entropy


class OfTheFirstState(paper.ActorCritic):
    """The fault of the released code: all actions are judged in the first state."""

    def evaluate(self, state: Any, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return super().evaluate(state[:1], action)


@pytest.mark.parametrize(
    ("actor_critic", "error", "message"),
    [(Dropping, RuntimeError, "away from 1"), (OfTheFirstState, ConfigError, "of each for every state")],
)
def test_faults_of_an_actor_critic_are_refused(env: graph_env, actor_critic: Any, error: Any, message: str) -> None:
    agent, memory = Agent(30, 4, actor_critic=actor_critic), Memory()
    play(env, agent, memory)
    play(env, agent, memory)
    with pytest.raises(error, match=message):
        agent.update(memory)


def test_a_memory_that_was_not_cleared_is_refused(env: graph_env) -> None:
    agent, memory = Agent(30, 4), Memory()
    for pay in (1.0, 0.0, 3.0):
        play(env, agent, memory, pay=lambda action, pay=pay: pay)
    agent.update(memory)
    with pytest.raises(RuntimeError, match="clear_memory"):
        agent.update(memory)


def test_a_memory_that_does_not_fit_together_is_refused(env: graph_env) -> None:
    agent, memory = Agent(30, 4), Memory()
    agent.select_action(env.reset(), memory)
    with pytest.raises(ConfigError, match="1 states, 1 logprobs, 0 rewards"):
        agent.update(memory)
    memory.rewards.append(0.0)
    memory.is_terminals.append(False)
    with pytest.raises(ConfigError, match="none of the memory's 1 steps"):
        agent.update(memory)


def test_steps_of_an_unfinished_episode_wait(env: graph_env) -> None:
    """What follows the last finished episode changes nothing."""
    after = []
    for unfinished in (False, True):
        torch.manual_seed(1)
        agent, memory = Agent(30, 4, K_epochs=1), Memory()
        play(env, agent, memory)
        play(env, agent, memory)
        if unfinished:
            agent.select_action(env.reset(), memory)
            memory.rewards.append(0.0)
            memory.is_terminals.append(False)
        agent.update(memory)
        after.append(agent.policy.actor(env.reset()).detach())
    assert torch.equal(*after)
