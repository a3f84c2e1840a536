"""Policies: the contract between PPO and a policy, and gnnrl's own policies.

B = observations, G = groups of one observation, ΣG = groups of all B. An action has one unbounded number for each
group. The environment gives it a meaning: the distance from the closed-form plan.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import torch
from torch import Tensor, nn

from gnnrl.agent.batching import ObservationBatch, batch
from gnnrl.agent.encoder import MultiStageEncoder
from gnnrl.agent.heads import Critic, NodeActor
from gnnrl.agent.losses import gaussian_entropy, gaussian_log_prob
from gnnrl.agent.observation import Observation
from gnnrl.errors import ConfigError

_LOWEST_LOG_STD = -3.0


@dataclass(frozen=True, eq=False)
class Decision:
    """Decision of a policy in one state.

    Attributes:
        action: one number for each group, float32 [G].
        log_prob: log-probability of each number when it was drawn, float32 [G].
        value: value of the state by the critic.
    """

    action: Tensor
    log_prob: Tensor
    value: float


@dataclass(frozen=True, eq=False)
class ActionEvaluation:
    """Probabilities and values under the current policy of actions that were taken earlier; differentiable.

    Attributes:
        log_prob: log-probability of each component, float32 [ΣG].
        entropy: entropy of each component's distribution, float32 [ΣG].
        value: value of each observation by the critic, float32 [B].
    """

    log_prob: Tensor
    entropy: Tensor
    value: Tensor


Judgement = ActionEvaluation
"""Deprecated name."""


class Policy(Protocol):
    """The contract of a policy with PPO: an `nn.Module` with `act` and `evaluate`.

    Your own policy is a subclass of `nn.Module`, and inherits nothing from gnnrl. It must obey two laws. PPO checks the
    first one in every update:

    1. As long as the parameters do not change, `evaluate(batch([observation]), decision.action).log_prob` equals
       `decision.log_prob`. So there is no dropout, no statistic of the batch, and no randomness outside the generator.
    2. Components are independent: `log_prob` has one entry for each group.
    """

    def act(
        self, observation: Observation, generator: torch.Generator | None = None, deterministic: bool = False
    ) -> Decision:
        """Decide in one state without gradients; `deterministic` returns the mode."""

    def evaluate(self, batch: ObservationBatch, action: Tensor) -> ActionEvaluation:
        """Evaluate actions [ΣG] that were taken in B states, with gradients."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the trained parameters."""


class SharedLogStd(nn.Module):
    """One learned log-std for all components, which fits networks of any size.

        log σ = floor + softplus(raw)

    A clamp at the floor would have no gradient below it, so the policy could never explore more again.
    """

    def __init__(self, init: float, floor: float) -> None:
        super().__init__()
        if init <= floor:
            raise ConfigError(f"log_std_init={init} must be above the floor {floor}.")
        self.floor = floor
        self.raw = nn.Parameter(torch.tensor(math.log(math.expm1(init - floor))))

    def forward(self) -> Tensor:
        """Return log σ, a scalar."""
        return self.floor + nn.functional.softplus(self.raw)


class ActorCritic(nn.Module):
    """A diagonal Gaussian around an actor's means, and a critic: any two modules that share no parameter.

    Args:
        actor: maps an `ObservationBatch` to means [ΣG].
        critic: maps an `ObservationBatch` to values [B].
        log_std_init: log-std of every component at the start.

    Raises:
        ConfigError: `log_std_init` is not above -3, the lower bound of the log-std.
    """

    def __init__(self, actor: nn.Module, critic: nn.Module, *, log_std_init: float = -1.0) -> None:
        super().__init__()
        self.actor = actor
        self.critic = critic
        self.log_std = SharedLogStd(log_std_init, _LOWEST_LOG_STD)

    @classmethod
    def build(
        cls,
        observation: Observation,
        *,
        head: Literal["node", "own"] = "node",
        hidden_dim: int = 64,
        embedding_dim: int = 64,
        layers: tuple[int, int] = (2, 3),
        stages: int = 2,
        log_std_init: float = -1.0,
        seed: int = 0,
    ) -> Self:
        """Build gnnrl's actor and critic, each with its own encoder.

            policy = ActorCritic.build(env.observation(), head="own")
            PPO(policy, PPOConfig(), seed=0).act(env.observation()).action

        Args:
            observation: an observation with the numbers of features that the policy will read.
            head: "node" for networks of any size, "own" for one network with a free offset for each of its groups.
            hidden_dim, embedding_dim, layers, stages: settings of `MultiStageEncoder`.
            log_std_init: log-std of every component at the start.
            seed: seed of the initial weights; the global random state is not changed.

        Raises:
            ConfigError: a setting is out of range.
        """
        dims = observation.operation_x.shape[1], observation.x.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = MultiStageEncoder(*dims, hidden_dim, embedding_dim, layers, stages)
            actor = NodeActor(encoder, observation.num_groups if head == "own" else None)
            critic = Critic(MultiStageEncoder(*dims, hidden_dim, embedding_dim, layers, stages))
        return cls(actor, critic, log_std_init=log_std_init)

    @torch.no_grad()
    def act(
        self, observation: Observation, generator: torch.Generator | None = None, deterministic: bool = False
    ) -> Decision:
        """Decide in one state without gradients; `deterministic` returns the mean."""
        single = batch([observation])
        mean, log_std = self.actor(single), self.log_std()
        noise = 0.0 if deterministic else torch.randn(mean.shape, generator=generator)
        action = mean + torch.exp(log_std) * noise
        return Decision(action, gaussian_log_prob(action, mean, log_std), self.critic(single).item())

    def evaluate(self, batch: ObservationBatch, action: Tensor) -> ActionEvaluation:
        """Evaluate actions [ΣG] that were taken in B states, with gradients."""
        log_std = self.log_std().expand_as(action)
        return ActionEvaluation(
            gaussian_log_prob(action, self.actor(batch), log_std), gaussian_entropy(log_std), self.critic(batch)
        )
