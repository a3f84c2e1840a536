"""Rollouts: the steps since the last update, their advantages, and shuffled minibatches.

T = steps in the rollout, B = steps in a minibatch, ΣG = groups of all observations of a minibatch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gnnrl.agent.batching import ObservationBatch, batch
from gnnrl.agent.losses import gae, relative_advantage
from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import Decision


@dataclass(frozen=True, eq=False)
class Step:
    """One step of an episode.

    Attributes:
        observation: state in which the policy acted.
        decision: action of the policy in this state, its log-probability and the value of the state.
        reward: finite reward from the environment.
        terminated: whether the episode is over.
        truncated: whether the episode was cut off.
        next_value: value of the next state by the critic; unused if `terminated`.
    """

    observation: Observation
    decision: Decision
    reward: float
    terminated: bool
    truncated: bool = False
    next_value: float = 0.0


@dataclass(frozen=True, eq=False)
class Minibatch:
    """Some steps of a rollout, joined; the numbers of a component are those of its step.

    Attributes:
        observations: B states.
        action, log_prob, advantage: of each component, float32 [ΣG].
        value_target: target of the critic, float32 [B].
    """

    observations: ObservationBatch
    action: Tensor
    log_prob: Tensor
    advantage: Tensor
    value_target: Tensor


@dataclass
class Rollout:
    """Steps in chronological order, episode after episode."""

    steps: list[Step] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Append a step.

        Raises:
            ValueError: the length of the action or of its log-probability is not the observation's number of groups.
        """
        groups, action, log_prob = step.observation.num_groups, step.decision.action, step.decision.log_prob
        if action.shape != (groups,) or log_prob.shape != (groups,):
            raise ValueError(
                f"A step with {groups} groups needs action and log_prob of shape [{groups}], got "
                f"{list(action.shape)} and {list(log_prob.shape)}."
            )
        self.steps.append(step)

    @property
    def is_relative(self) -> bool:
        """True if there are several episodes of one step each, so that no critic is needed."""
        return len(self.steps) > 1 and all(step.terminated or step.truncated for step in self.steps)

    def advantages(self, gamma: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
        """Return normalised advantages [T] and the critic's targets [T].

        One-step episodes are compared with each other. Longer ones use GAE.
        """
        reward = torch.tensor([step.reward for step in self.steps])
        if self.is_relative:
            return relative_advantage(reward), reward
        value = torch.tensor([step.decision.value for step in self.steps])
        advantage = gae(
            reward,
            value,
            torch.tensor([step.next_value for step in self.steps]),
            torch.tensor([step.terminated for step in self.steps]),
            torch.tensor([step.truncated for step in self.steps]),
            gamma=gamma,
            gae_lambda=gae_lambda,
        )
        spread = advantage.std(correction=0) + 1e-8
        return (advantage - advantage.mean()) / spread, advantage + value

    def minibatches(
        self, advantage: Tensor, value_target: Tensor, batch_size: int, generator: torch.Generator
    ) -> Iterator[Minibatch]:
        """Yield every step once, in shuffled minibatches of `batch_size` steps; the last one may be smaller.

        Args:
            advantage, value_target: of each step [T].
            generator: random generator on the CPU, the only source of randomness.
        """
        for chosen in torch.split(torch.randperm(len(self.steps), generator=generator), batch_size):
            steps = [self.steps[i] for i in chosen.tolist()]
            observations = batch([step.observation for step in steps])
            yield Minibatch(
                observations,
                action=torch.cat([step.decision.action for step in steps]),
                log_prob=torch.cat([step.decision.log_prob for step in steps]),
                advantage=advantage[chosen][observations.group_observation],
                value_target=value_target[chosen],
            )
