"""The paper's documentation, step by step. The classes between the rulers are copied from it as they stand."""

import os
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch as T
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import gnnrl
from gnnrl._seed_api.environment import fitted
from gnnrl.agent.observation import Observation
from gnnrl.agent.ppo import PPOStats
from gnnrl.errors import ConfigError, DataError, NothingToPrune, UnreachableConstraint
from gnnrl.graph_env.graph_environment import graph_env
from gnnrl.lib.RL import agent as paper
from gnnrl.lib.RL.agent import Agent, Memory, multi_stage_graph_encoder
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from gnnrl.training import top1

device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
DOCUMENTATION = Path(__file__).parents[1] / "docs" / "paper_interface.md"


# fmt: off
# ruff: noqa: RET504, UP008
# ---------------------------------------------------------------------------------------------------------------------
class ActorNetwork(nn.Module):
    def __init__(self,g_in_size, g_hidden_size, g_embedding_size,hidden_size, nb_actions,
                chkpt_dir='tmp/rl'):
        super(ActorNetwork, self).__init__()

        self.checkpoint_file = os.path.join(chkpt_dir, 'actor_torch_rl')
        self.graph_encoder = multi_stage_graph_encoder(g_in_size, g_hidden_size, g_embedding_size)
        self.linear1 = nn.Linear(g_embedding_size,hidden_size)
        self.linear2 = nn.Linear(hidden_size,nb_actions)
        self.nb_actions = nb_actions
        self.tanh = nn.Tanh()
        self.relu = nn.ReLU()

        self.device = T.device('cuda:0' if T.cuda.is_available() else 'cpu')
        self.to(self.device)

    def forward(self, state):
        g = self.graph_encoder(state)
        actions = self.relu(self.linear1(g))
        actions = self.tanh(self.linear2(actions))
        return actions

    def save_checkpoint(self):
        T.save(self.state_dict(), self.checkpoint_file)

    def load_checkpoint(self):
        self.load_state_dict(T.load(self.checkpoint_file))


class CriticNetwork(nn.Module):
    def __init__(self, g_in_size, g_hidden_size, g_embedding_size,
                chkpt_dir='tmp/rl'):
        super(CriticNetwork, self).__init__()

        self.checkpoint_file = os.path.join(chkpt_dir, 'critic_torch_rl')
        self.graph_encoder_critic = multi_stage_graph_encoder(g_in_size, g_hidden_size, g_embedding_size)
        self.linear1 = nn.Linear(g_embedding_size, 1)
        self.tanh = nn.Tanh()
        # self.sigmoid = nn.Sigmoid()

        # self.optimizer = optim.Adam(self.parameters(), lr=alpha)
        self.device = T.device('cuda:0' if T.cuda.is_available() else 'cpu')
        self.to(self.device)

    def forward(self, state):
        g = self.graph_encoder_critic(state)
        value = self.tanh(self.linear1(g))
        return value

    def save_checkpoint(self):
        T.save(self.state_dict(), self.checkpoint_file)

    def load_checkpoint(self):
        self.load_state_dict(T.load(self.checkpoint_file))


class ActorCritic(nn.Module):
    def __init__(self, state_dim, action_dim, action_std):
        super(ActorCritic, self).__init__()
        # action mean range -1 to 1
        actor_cfg = {
            'g_in_size':state_dim,
            'g_hidden_size':50,
            'g_embedding_size':50,
            'hidden_size':200,
            'nb_actions':action_dim,

        }
        critic_cfg = {

            'g_in_size':state_dim,
            'g_hidden_size':50,
            'g_embedding_size':50,
        }
        self.actor = ActorNetwork(**actor_cfg)
        self.critic = CriticNetwork(**critic_cfg)

        self.action_var = torch.full((action_dim,), action_std*action_std).to(device)

    def forward(self):
        raise NotImplementedError

    def act(self, state, memory):
        action_mean = self.actor(state)
        cov_mat = torch.diag(self.action_var).to(device)

        dist = MultivariateNormal(action_mean, cov_mat)
        action = dist.sample()
        action_logprob = dist.log_prob(action)

        memory.states.append(state)
        memory.actions.append(action)
        memory.logprobs.append(action_logprob)

        return action.detach()

    def evaluate(self, state, action):
        action_mean = self.actor(state)

        action_var = self.action_var.expand_as(action_mean)
        cov_mat = torch.diag_embed(action_var).to(device)

        dist = MultivariateNormal(action_mean, cov_mat)

        action_logprobs = dist.log_prob(action)
        dist_entropy = dist.entropy()
        state_value = self.critic(state)

        return action_logprobs, torch.squeeze(state_value), dist_entropy
# ---------------------------------------------------------------------------------------------------------------------
# fmt: on

ACTOR_CRITICS = pytest.mark.parametrize("actor_critic", [paper.ActorCritic, ActorCritic], ids=["ours", "documented"])


class Residual(nn.Module):
    """Four groups: the residual stream, two inner layers and a layer behind."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.inner = nn.ModuleList(nn.Conv2d(12, 10, 3, padding=1) for _ in range(2))
        self.outer = nn.ModuleList(nn.Conv2d(10, 12, 3, padding=1) for _ in range(2))
        self.behind = nn.Conv2d(12, 16, 3, stride=2)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        for inner, outer in zip(self.inner, self.outer, strict=True):
            x = x + outer(inner(x).relu())
        return self.head(self.behind(x).relu().mean((2, 3)))


class Depthwise(nn.Module):
    """Another architecture: depthwise-separable, without a residual stream."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.Hardswish(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 12, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 4),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def images(count: int = 48) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(count, 3, 8, 8, generator=generator), torch.randint(4, (count,), generator=generator)
    return list(zip(x.split(16), y.split(16), strict=True))


def environment(net: nn.Module | None = None, n_layer: int | None = None, ratio: float = 0.5, **more: Any) -> graph_env:
    args = SimpleNamespace(max_timesteps=more.pop("steps", 5))
    features = more.pop("g_in_size", 30)
    return graph_env(
        net or Residual(),
        n_layer,
        "random",
        images(),
        ratio,
        features,
        None,
        torch.randn(1, 3, 8, 8),
        device,
        args,
        **more,
    )


@pytest.fixture(scope="module")
def env() -> graph_env:
    torch.manual_seed(0)
    return environment()


def play(env: graph_env, agent: Agent, memory: Memory, pay: Callable[[np.ndarray], float] | None = None) -> float:
    """Play an episode; `pay` replaces the environment's reward by one of the action."""
    state, done, time_step, reward = env.reset(), False, 0, 0.0
    while not done:
        time_step += 1
        action = agent.select_action(state, memory)
        state, reward, done = env.step(action, time_step)
        if pay is not None:
            reward = pay(action)
        memory.rewards.append(reward)
        memory.is_terminals.append(done)
    return reward


def sized(net: nn.Module) -> Network:
    return trace(net, torch.randn(1, 3, 8, 8))


# Agent and networks


def test_the_documented_agent_is_made_with_its_defaults() -> None:
    state_dim = 30
    action_dim = 20
    agent = Agent(state_dim, action_dim)
    assert agent.policy.actor.nb_actions == 20
    assert (agent.lr, agent.betas, agent.gamma, agent.K_epochs, agent.eps_clip) == (3e-4, (0.9, 0.999), 0.99, 10, 0.2)


def test_the_released_script_makes_its_agent_by_keyword() -> None:
    Agent(
        state_dim=20, action_dim=5, action_std=0.5, lr=0.0003, betas=(0.9, 0.999), gamma=0.99, K_epochs=10, eps_clip=0.2
    )


def test_wrong_settings_of_an_agent_are_refused_together() -> None:
    with pytest.raises(ConfigError, match=r"action_std must be above 0, not 0; eps_clip must be in \(0, 1\), not 2"):
        Agent(30, 20, action_std=0, eps_clip=2)


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
    with pytest.raises(ConfigError, match=r"built for 20 features, but the operations of the state have 30"):
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
    [(Dropping, RuntimeError, "away from 1"), (OfTheFirstState, ConfigError, "must judge every state")],
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
    with pytest.raises(ConfigError, match="none of the 1 steps"):
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


# Environment


@pytest.mark.parametrize("architecture", [Residual, Depthwise])
@ACTOR_CRITICS
def test_episodes_end_within_the_limit_and_train(architecture: type[nn.Module], actor_critic: Any) -> None:
    net = architecture()
    untouched = {name: value.clone() for name, value in net.state_dict().items()}
    env = environment(net, ratio=0.4)
    agent, memory = Agent(30, env.action_dim, actor_critic=actor_critic), Memory()
    dense = sized(net)
    limit, met = 0.6 * dense.cost.measure(dense.widths).macs, 0
    for _ in range(6):
        reward = play(env, agent, memory)
        small = env.pruned_model
        if small is None:
            assert reward == -100
            continue
        met += 1
        pruned = sized(small)
        assert type(small) is architecture
        assert pruned.cost.measure(pruned.widths).macs <= limit
        correct = sum(int((small(x).argmax(1) == y).sum()) for x, y in images())
        assert reward == pytest.approx(100 * correct / 48 - 100)
    assert met > 2
    agent.update(memory)
    assert all(torch.equal(value, untouched[name]) for name, value in net.state_dict().items())


def test_ratios_add_up_until_the_limit_holds(env: graph_env) -> None:
    state = env.reset()
    assert env.widths.tolist() == [12, 10, 10, 16]
    assert env.flops_ratio == 1
    later, reward, done = env.step([0.5, 0.0, -1.0, 0.0], 1)
    assert env.widths.tolist() == [6, 10, 10, 16]
    assert not torch.equal(state.x, later.x)
    if not done:
        assert reward == 0
        assert env.pruned_model is None
        _, reward, done = env.step(torch.tensor([[0.5, 0.5, 0.5, 0.0]]), 2)
        assert env.widths.tolist() == [3, 5, 5, 16]
    assert done
    assert -100 <= reward <= 0


def test_a_group_keeps_a_tenth_and_nothing_grows_back(env: graph_env) -> None:
    env.reset()
    env.step(np.full(4, 7.0))
    assert env.widths.tolist() == [1, 1, 1, 1]
    env.reset()
    env.step([0.2, 0.0, 0.0, 0.0])
    env.step([-3.0, 0.0, 0.0, 0.0])
    assert env.widths.tolist() == [9, 10, 10, 16]


def test_reset_returns_the_state_of_the_original_network(env: graph_env) -> None:
    first = env.reset()
    env.step(np.full(4, 0.1))
    again = env.reset()
    assert all(torch.equal(a, b) for a, b in zip(vars(first).values(), vars(again).values(), strict=True))


def test_a_missed_limit_costs_a_hundred() -> None:
    env = environment(steps=2)
    assert env.step(np.zeros(4), 1)[1:] == (0.0, False)
    assert env.step(np.zeros(4), 2)[1:] == (-100.0, True)
    assert env.pruned_model is None
    with pytest.raises(ConfigError, match="call reset"):
        env.step(np.zeros(4), 3)


def test_the_right_length_of_the_action_is_told() -> None:
    net = Residual()
    with pytest.raises(ConfigError, match=r"n_layer is 20, but Residual has 4 groups .*stem, inner.0.*action_dim=4"):
        environment(net, 20)
    env = environment(net, 4)
    assert env.action_dim == env.n_layer == 4
    assert environment(net, -1).action_dim == 4
    with pytest.raises(ConfigError, match=r"length of the action is 3, but Residual has 4"):
        env.step(np.zeros(3))
    with pytest.raises(ConfigError, match="NaN"):
        env.step(np.full(4, np.nan))


def test_the_keywords_of_the_released_script_are_accepted() -> None:
    with pytest.warns(UserWarning, match="model_name='resnet56' is not read"):
        env = graph_env(
            Residual(),
            4,
            "cifar10",
            images(),
            compression_ratio=0.4,
            g_in_size=20,
            log_dir=None,
            input_x=torch.randn(1, 3, 8, 8),
            max_timesteps=3,
            model_name="resnet56",
            device=device,
        )
    assert env.max_timesteps == 3
    assert env.reset().x.shape[1] == 20


def test_wrong_arguments_are_refused_together() -> None:
    with pytest.raises(ConfigError, match=r"not 1.5; g_in_size and max_timesteps .* not 0 and 5; repair is one of"):
        environment(ratio=1.5, g_in_size=0, repair="magic")
    with pytest.raises(DataError, match="runs dry"):
        graph_env(Residual(), None, "", iter(images()), 0.5, 30, None, torch.randn(1, 3, 8, 8))
    with pytest.raises(UnreachableConstraint, match=r"largest ratio within reach is 0\.9"):
        environment(ratio=0.999)
    with pytest.raises(NothingToPrune):
        environment(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)))


def test_the_largest_ratio_that_is_named_is_within_reach() -> None:
    net = Residual()
    with pytest.raises(UnreachableConstraint) as refusal:
        environment(net, ratio=0.999)
    env = environment(net, ratio=float(re.findall(r"is (0\.\d+)\.", str(refusal.value))[0]))
    assert env.step(np.ones(4))[2]


def test_labels_are_not_read_by_the_repair() -> None:
    """Other labels change the reward, never the network."""
    net, weights = Residual(), []
    for shift in (0, 1):
        loader = [(x, (y + shift) % 4) for x, y in images()]
        env = graph_env(net, None, "", loader, 0.4, 30, None, torch.randn(1, 3, 8, 8), device)
        env.step([0.5, 0.5, 0.5, 0.0])
        assert env.pruned_model is not None
        weights.append(env.pruned_model.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_calibration_data_of_ones_own_is_used() -> None:
    net, other = Residual(), [torch.rand(32, 3, 8, 8)]
    models = []
    for more in ({}, {"calibration": other}):
        env = environment(net, ratio=0.4, **more)
        env.step([0.5, 0.5, 0.5, 0.0])
        models.append(env.pruned_model)
    assert not torch.equal(models[0].stem.weight, models[1].stem.weight)


def test_a_wrapped_network_is_unwrapped() -> None:
    assert environment(nn.DataParallel(Residual())).action_dim == 4


def test_features_are_padded_or_projected() -> None:
    env = environment(g_in_size=40)
    assert 20 < env.feature_size <= 40
    state = env.reset()
    assert isinstance(state, Observation)
    assert state.x.shape[1] == state.operation_x.shape[1] == 40
    assert not state.x[:, env.feature_size :].any()
    x = torch.eye(6)
    assert torch.equal(fitted(x, 4), fitted(x, 4))
    assert torch.allclose(fitted(x, 4).T @ fitted(x, 4), torch.eye(4), atol=1e-6)


def test_thirty_features_hold_all_that_the_state_says() -> None:
    """What instances use of the features, and what groups use, is told by 30 numbers without loss."""
    env = environment(g_in_size=40)
    whole = env.reset()
    projection = fitted(torch.eye(env.feature_size), 30)
    for rows in (whole.motif >= 0, whole.motif < 0):
        used = whole.x[rows].any(0)[: env.feature_size]
        assert torch.linalg.svdvals(projection[used]).min() > 0.05
        assert int(used.sum()) <= 30


def test_the_best_network_is_written(tmp_path: Path) -> None:
    net = Residual()
    where = (net, None, "random", images(), 0.4, 30, tmp_path, torch.randn(1, 3, 8, 8), device)
    env = graph_env(*where)
    env.step([0.5, 0.5, 0.5, 0.0])
    small = gnnrl.load(net, tmp_path / "best_network")
    correct = sum(int((small.eval()(x).argmax(1) == y).sum()) for x, y in images())
    assert env.best_accuracy == pytest.approx(100 * correct / 48)
    graph_env(*where)  # a result of an earlier run is replaced
    (tmp_path / "best_network" / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="not empty"):
        graph_env(*where)  # anything else is not


def test_no_network_is_known_by_name() -> None:
    package = Path(gnnrl.__file__).parent
    files = [
        *(package / "_seed_api").glob("*.py"),
        *(package / "lib").rglob("*.py"),
        *(package / "graph_env").glob("*.py"),
    ]
    text = "\n".join(path.read_text() for path in files).lower()
    assert not re.search(r"resnet|mobilenet|vgg|shufflenet", text)


def test_the_example_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        (tmp_path / "example.py").write_text(block)
        names = runpy.run_path(str(tmp_path / "example.py"))
    before, after = map(float, re.findall(r"([\d.]+) %", capsys.readouterr().out)[:2])
    assert before > 90
    assert after > before - 10
    small = gnnrl.load(names["digits_resnet"](), "logs/best_network")
    assert 100 * top1(small, names["val_loader"]) == pytest.approx(names["env"].best_accuracy)
