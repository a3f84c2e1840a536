"""Small networks, data and environments in the paper's words."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnrl.graph_env.graph_environment import graph_env
from gnnrl.lib.RL import agent as paper
from gnnrl.lib.RL.agent import Agent, Memory
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from tests._seed_api.documented import ActorCritic, device

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
