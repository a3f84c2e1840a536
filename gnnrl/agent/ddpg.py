"""Deep deterministic policy gradient for a sequence of decisions, each a number in [0, 1].

Lillicrap et al. 2016, "Continuous Control with Deep Reinforcement Learning", https://arxiv.org/abs/1509.02971, in the
form of AMC (He et al. 2018, https://arxiv.org/abs/1802.03494). Truncated normal noise decays with the episodes. Every
transition of an episode gets its final reward minus a moving average of the rewards, without a discount.

S = length of a state, B = transitions in a batch. Tensors are float32.
"""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import truncnorm
from torch import Tensor, nn
from torch.nn import functional as F


class DDPGConfig(BaseModel):
    """Settings of DDPG. The defaults are those of AMC's released code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actor_learning_rate: float = Field(default=1e-4, gt=0, description="Step size of the actor's Adam.")
    critic_learning_rate: float = Field(default=1e-3, gt=0, description="Step size of the critic's Adam.")
    hidden_dim: int = Field(default=300, ge=1, description="Width of the two hidden layers.")
    batch_size: int = Field(default=64, ge=1, description="Transitions in an update.")
    tau: float = Field(default=0.01, gt=0, le=1, description="Step of the target networks in an update.")
    warmup: float = Field(
        default=0.125, ge=0, le=1, description="Share of the episodes with random actions, at the start."
    )
    noise: float = Field(default=0.5, ge=0, description="Standard deviation of the noise after the warm-up.")
    noise_decay: float = Field(default=0.95, gt=0, le=1, description="Factor on the noise after every episode.")
    baseline_decay: float = Field(default=0.95, ge=0, lt=1, description="Weight of the past in the moving average.")


def _perceptron(in_dim: int, hidden_dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 1)
    )


def _actor(state_dim: int, hidden_dim: int) -> nn.Sequential:
    """Return a network from states [B, S] to actions [B, 1] in (0, 1), which are about one half at the start."""
    layers = _perceptron(state_dim, hidden_dim)
    for parameter in layers[-1].parameters():
        nn.init.uniform_(parameter, -3e-3, 3e-3)
    return layers.append(nn.Sigmoid())


def td_target(reward: Tensor, next_value: Tensor, terminal: Tensor) -> Tensor:
    """Return y = r + (1 − terminal) · Q'(s', μ'(s')), the undiscounted target of the critic [B, 1]."""
    return reward + (1 - terminal) * next_value


def truncated_normal(mean: float, std: float, rng: np.random.Generator) -> float:
    """Draw from a normal distribution that is truncated to [0, 1]."""
    if std <= 0:
        return mean
    return float(truncnorm.rvs(-mean / std, (1 - mean) / std, loc=mean, scale=std, random_state=rng))


class DDPG:
    """An actor, a critic, their target networks, and all transitions so far.

    Args:
        state_dim: S.
        config: the settings.
        seed: seed of weights, noise and batches; the global random state is not changed.
    """

    def __init__(self, state_dim: int, config: DDPGConfig, seed: int) -> None:
        self.config = config
        self.noise = config.noise
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = _actor(state_dim, config.hidden_dim)
            self.critic = _perceptron(state_dim + 1, config.hidden_dim)
        self._targets = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self._actor_steps = torch.optim.Adam(self.actor.parameters(), config.actor_learning_rate)
        self._critic_steps = torch.optim.Adam(self.critic.parameters(), config.critic_learning_rate)
        self._rng = np.random.default_rng(seed)
        self._rows: list[NDArray[np.float32]] = []
        self._baseline: float | None = None

    @torch.no_grad()
    def act(self, state: NDArray[np.float32]) -> float:
        """Return an action with noise for a state [S]."""
        return truncated_normal(float(self.actor(torch.from_numpy(state)[None])), self.noise, self._rng)

    def act_at_random(self) -> float:
        """Return a uniformly random action."""
        return float(self._rng.random())

    def remember(self, states: NDArray[np.float32], actions: NDArray[np.float32], reward: float) -> None:
        """Store an episode: states [T, S], actions [T], and the reward at its end."""
        following = np.concatenate([states[1:], states[-1:]])
        terminal = np.arange(len(states)) == len(states) - 1
        columns = (states, actions[:, None], np.full((len(states), 1), reward), following, terminal[:, None])
        self._rows += list(np.concatenate(columns, 1).astype(np.float32))
        decay = self.config.baseline_decay
        self._baseline = reward if self._baseline is None else decay * self._baseline + (1 - decay) * reward

    def update(self) -> None:
        """Take one gradient step of critic and actor on a batch of all transitions."""
        chosen = self._rng.choice(len(self._rows), min(self.config.batch_size, len(self._rows)), replace=False)
        rows = torch.from_numpy(np.stack([self._rows[index] for index in chosen]))
        size = (rows.shape[1] - 3) // 2
        state, action, reward, following, terminal = torch.split(rows, [size, 1, 1, size, 1], 1)
        slow_actor, slow_critic = self._targets
        with torch.no_grad():
            value = slow_critic(torch.cat([following, slow_actor(following)], 1))
            target = td_target(reward - (self._baseline or 0.0), value, terminal)
        _step(self._critic_steps, F.mse_loss(self.critic(torch.cat([state, action], 1)), target))
        _step(self._actor_steps, -self.critic(torch.cat([state, self.actor(state)], 1)).mean())
        with torch.no_grad():
            for slow, fast in ((slow_actor, self.actor), (slow_critic, self.critic)):
                for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
                    old.lerp_(new, self.config.tau)

    def end_episode(self, *, is_new: bool) -> None:
        """Reduce the noise, or increase it if the plan of the episode was known."""
        self.noise *= self.config.noise_decay if is_new else 1 / self.config.noise_decay


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
