"""The paper's environment: ratios, limits, rewards and what is written."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gnnrl
from gnnrl._seed_api.environment import fitted
from gnnrl.agent.observation import Observation
from gnnrl.errors import ConfigError, DataError, NothingToPrune, UnreachableConstraint
from gnnrl.graph_env.graph_environment import graph_env
from gnnrl.lib.RL.agent import Agent, Memory
from tests._seed_api.documented import device
from tests._seed_api.problem import ACTOR_CRITICS, Depthwise, Residual, environment, images, play, sized


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
    with pytest.raises(ConfigError, match=r"not 1.5; g_in_size and max_timesteps must be at least 1, not 0 and 5"):
        environment(ratio=1.5, g_in_size=0)
    with pytest.raises(TypeError, match="unexpected arguments: magic"):
        environment(magic=1)
    with pytest.raises(DataError, match="a generator ends"):
        graph_env(Residual(), None, "", iter(images()), 0.5, 30, None, torch.randn(1, 3, 8, 8))
    with pytest.raises(UnreachableConstraint, match=r"largest possible ratio is 0\.9"):
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
