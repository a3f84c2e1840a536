"""Proximal Policy Optimisation for graphs of any size and searches of few episodes.

Schulman et al. 2017, https://arxiv.org/abs/1707.06347; details after Huang et al. 2022, "The 37 Implementation Details
of Proximal Policy Optimization", https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from gnnrl.agent.batching import batch
from gnnrl.agent.losses import approximate_kl, clipped_surrogate, value_loss
from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import Decision, Policy
from gnnrl.agent.rollout import Minibatch, Rollout

_IMITATED = 8
_REMEDY = "A policy must not use dropout or statistics of the batch, and must not change between act() and update()."
RATIO_TOLERANCE = 1e-3
"""Rounding error of a ratio. A state is embedded alone when the policy acts, among others in an update, and the
difference is divided by the policy's standard deviation. 2e-5 was measured at the smallest one on the CPU; accelerators
choose other kernels for other sizes. Dropout or a lost state cause much larger differences."""


class PPOConfig(BaseModel):
    """Settings of PPO with the names of Stable-Baselines3. The defaults are for searches of 50 to 150 episodes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=3e-3, gt=0, description="Step size of Adam.")
    n_steps: int = Field(default=10, ge=2, description="Episodes between two updates.")
    n_epochs: int = Field(default=10, ge=1, description="Passes over these episodes in an update.")
    batch_size: int = Field(default=64, ge=1, description="Steps in a minibatch.")
    gamma: float = Field(
        default=1.0, ge=0, le=1, description="Discount per step; 1 because only the end of an episode has a reward."
    )
    gae_lambda: float = Field(default=0.95, ge=0, le=1, description="0 trusts only the critic, 1 only the rewards.")
    clip_range: float = Field(
        default=0.2, gt=0, lt=1, description="Largest change of an action's probability in an update."
    )
    ent_coef: float = Field(default=0.0, ge=0, description="Weight of the entropy bonus.")
    vf_coef: float = Field(default=0.5, ge=0, description="Weight of the critic's loss.")
    max_grad_norm: float = Field(
        default=0.5, gt=0, description="Largest norm of the gradient; larger ones are scaled down."
    )
    log_std_init: float = Field(default=-1.0, description="Log of the standard deviation of each ratio at the start.")


@dataclass(frozen=True)
class PPOStats:
    """Statistics of an update.

    Attributes:
        policy_loss, value_loss: means over the gradient steps; the value loss is 0 if no critic is needed.
        entropy, approx_kl, clip_fraction: before the last gradient step: entropy and KL divergence from the policy
            that acted, per component, and the share of the ratios outside the clip range.
        first_ratio_deviation: largest distance from 1 of the ratios before the first gradient step.
        n_updates: number of gradient steps.
        stop: all epochs are done, or a loss or gradient is not finite, and its step is skipped.
    """

    policy_loss: float
    value_loss: float
    entropy: float
    approx_kl: float
    clip_fraction: float
    first_ratio_deviation: float
    n_updates: int
    stop: Literal["epochs", "non_finite"]


class Losses(NamedTuple):
    """Detached scalars of one gradient step, kept until the end of the update."""

    policy: Tensor
    value: Tensor
    entropy: Tensor
    kl: Tensor
    clip_fraction: Tensor
    ratio_deviation: Tensor


def statistics(seen: Sequence[Losses], n_updates: int, stop: Literal["epochs", "non_finite"] = "epochs") -> PPOStats:
    """Return the statistics of an update from the losses before each of its gradient steps."""
    return PPOStats(
        policy_loss=float(torch.stack([losses.policy for losses in seen]).mean()),
        value_loss=float(torch.stack([losses.value for losses in seen]).mean()),
        entropy=float(seen[-1].entropy),
        approx_kl=float(seen[-1].kl),
        clip_fraction=float(seen[-1].clip_fraction),
        first_ratio_deviation=float(seen[0].ratio_deviation),
        n_updates=n_updates,
        stop=stop,
    )


def check_first_ratio(deviation: Tensor, remedy: str) -> None:
    """Refuse a ratio that is not 1 before the first gradient step.

    Raises:
        RuntimeError: the recorded log-probabilities are not those of the policy.
    """
    if deviation > RATIO_TOLERANCE:
        raise RuntimeError(
            f"Before the first gradient step a ratio is {deviation:.1e} away from 1, so evaluate() disagrees with the "
            f"log-probabilities that act() recorded. {remedy}"
        )


class PPO:
    """Training of any `Policy` from rollouts.

        agent = PPO(policy, PPOConfig(), seed=0)
        decision = agent.act(observation)
        agent.update(rollout)

    Args:
        policy: the policy that acts and is trained.
        config: the settings.
        seed: seed of actions and minibatches.
    """

    def __init__(self, policy: Policy, config: PPOConfig, seed: int) -> None:
        self.policy = policy
        self.config = config
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=config.learning_rate, eps=1e-5)
        self.generator = torch.Generator().manual_seed(seed)

    def act(self, observation: Observation, deterministic: bool = False) -> Decision:
        """Decide in one state; `deterministic` returns the mode and does not change the random state."""
        return self.policy.act(observation, self.generator, deterministic)

    def update(self, rollout: Rollout) -> PPOStats:
        """Improve the policy with its episodes since the last update.

        Args:
            rollout: steps that the current policy decided.

        Raises:
            ValueError: the rollout is empty.
            RuntimeError: a ratio is not 1 before the first gradient step, so the recorded log-probabilities are not
                those of this policy.
        """
        if not rollout.steps:
            raise ValueError("update() needs at least one step.")
        config, seen = self.config, list[Losses]()
        advantage, value_target = rollout.advantages(config.gamma, config.gae_lambda)
        vf_coef = 0.0 if rollout.is_relative else config.vf_coef
        for _ in range(config.n_epochs):
            for minibatch in rollout.minibatches(advantage, value_target, config.batch_size, self.generator):
                loss, losses = self._losses(minibatch, vf_coef)
                seen.append(losses)
                if len(seen) == 1:
                    check_first_ratio(losses.ratio_deviation, _REMEDY)
                if not self._step(loss):
                    return statistics(seen, len(seen) - 1, "non_finite")
        return statistics(seen, len(seen))

    def imitate(self, observation: Observation, actions: Tensor, steps: int) -> float:
        """Make actions [K, G] in one state more probable by maximum likelihood, and return the last loss.

        The policy's mean approaches theirs, and its standard deviation their spread: expert iteration (Anthony et al.
        2017, https://arxiv.org/abs/1705.08439) with an uncertain expert.
        """
        parts = torch.split(actions, _IMITATED)
        loss = torch.zeros(())
        for step in range(steps):
            part = parts[step % len(parts)]
            loss = -self.policy.evaluate(batch([observation] * len(part)), part.flatten()).log_prob.mean()
            if not self._step(loss):
                break
        return float(loss.detach())

    def _losses(self, minibatch: Minibatch, vf_coef: float) -> tuple[Tensor, Losses]:
        now = self.policy.evaluate(minibatch.observations, minibatch.action)
        deviation = (torch.exp(now.log_prob - minibatch.log_prob) - 1).abs().detach()
        policy = clipped_surrogate(now.log_prob, minibatch.log_prob, minibatch.advantage, self.config.clip_range)
        value = value_loss(now.value, minibatch.value_target) if vf_coef else torch.zeros(())
        entropy = now.entropy.mean()
        total = policy + vf_coef * value - self.config.ent_coef * entropy
        kl = approximate_kl(now.log_prob, minibatch.log_prob).detach()
        clipped = (deviation > self.config.clip_range).float().mean()
        return total, Losses(policy.detach(), value.detach(), entropy.detach(), kl, clipped, deviation.max())

    def _step(self, loss: Tensor) -> bool:
        """Take one gradient step, or return False if the loss or the gradient is not finite."""
        if not torch.isfinite(loss):
            return False
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.max_grad_norm)
        if not torch.isfinite(norm):
            return False
        self.optimizer.step()
        return True
