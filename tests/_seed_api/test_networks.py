"""The paper's networks: one state and many, both levels of the graph, checkpoints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnrl.errors import ConfigError
from gnnrl.graph_env.graph_environment import graph_env
from gnnrl.lib.RL import agent as paper
from gnnrl.lib.RL.agent import Memory, multi_stage_graph_encoder
from tests._seed_api.documented import ActorCritic
from tests._seed_api.problem import ACTOR_CRITICS


@ACTOR_CRITICS
def test_one_state_and_a_list_of_states_are_judged_alike(env: graph_env, actor_critic: Any) -> None:
    first = env.reset()
    states = [first, env.step(np.full(4, 0.1))[0], first]
    policy, memory = actor_critic(30, 4, 0.5), Memory()
    alone = [policy.actor(state) for state in states]
    assert torch.allclose(policy.actor(states), torch.cat(alone), atol=1e-6)
    assert not torch.allclose(alone[0], alone[1], atol=1e-6)
    for state in states:
        assert policy.act(state, memory).shape == (1, 4)
    log_prob, value, entropy = policy.evaluate(memory.states, torch.cat(memory.actions))
    assert log_prob.shape == value.shape == entropy.shape == (3,)
    assert torch.allclose(log_prob, torch.cat(memory.logprobs), atol=1e-5)


def test_our_actor_critic_computes_what_the_documented_one_does(env: graph_env) -> None:
    ours, documented = paper.ActorCritic(30, 4, 0.3), ActorCritic(30, 4, 0.3)
    documented.load_state_dict({name: value for name, value in ours.state_dict().items() if name != "action_var"})
    states, actions = [env.reset(), env.step(np.full(4, 0.1))[0]], torch.randn(2, 4)
    for a, b in zip(ours.evaluate(states, actions), documented.evaluate(states, actions), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_the_encoder_reads_a_state_a_list_and_a_memory(env: graph_env) -> None:
    encoder, state, memory = multi_stage_graph_encoder(30, 16, 7), env.reset(), Memory()
    memory.states += [state, state]
    assert encoder(state).shape == (1, 7)
    assert encoder(memory).shape == encoder([state, state]).shape == (2, 7)
    assert torch.equal(encoder(memory)[0], encoder(memory)[1])


def test_both_levels_of_the_hierarchy_reach_the_embedding(env: graph_env) -> None:
    encoder = multi_stage_graph_encoder(30, 16, 7)
    encoder(env.reset()).sum().backward()
    gradients = {name: parameter.grad for name, parameter in encoder.named_parameters()}
    for stage in ("encoder.motifs.input.weight", "encoder.input.weight"):
        assert gradients[stage] is not None
        assert gradients[stage].abs().sum() > 0


def test_the_encoder_says_what_it_cannot_read(env: graph_env) -> None:
    with pytest.raises(ConfigError, match=r"built for 20 features, but the state's operations have 30"):
        multi_stage_graph_encoder(20, 16, 7)(env.reset())
    with pytest.raises(ConfigError, match="not dict"):
        multi_stage_graph_encoder(30, 16, 7)({})


def test_the_encoder_can_be_imported_from_where_the_paper_had_it() -> None:
    from gnnrl.models.graph_encoder import multi_stage_graph_encoder as there

    assert there is multi_stage_graph_encoder


def test_networks_are_saved_and_read_without_running_code(env: graph_env, tmp_path: Path) -> None:
    for network in (paper.ActorNetwork, paper.CriticNetwork):
        sizes = (30, 8, 8, 8, 4) if network is paper.ActorNetwork else (30, 8, 8)
        one, other = (network(*sizes, chkpt_dir=str(tmp_path / "rl")) for _ in range(2))
        one.save_checkpoint()
        other.load_checkpoint()
        assert torch.equal(one(env.reset()), other(env.reset()))
        torch.save({"weight": Path("/")}, one.checkpoint_file)
        with pytest.raises(Exception, match="weights_only"):
            one.load_checkpoint()
