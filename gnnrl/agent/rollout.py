"""Rollouts: the steps since the last update, their advantages, and shuffled minibatches.

T = steps in the rollout, B = steps in a minibatch, ΣG = groups of all observations of a minibatch.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gnnrl.agent.batching import ObservationBatch, batch
from gnnrl.agent.losses import gae, relative_advantage
from gnnrl.agent.observation import Observation


@dataclass(frozen=True, eq=False)
class Step:
    """One step of an episode.

    Attributes:
        observation: state in which the policy acted.
        action: action of the policy, float32 [G].
        log_prob: log-probability of each component when it was drawn, float32 [G].
        value: value of the state by the critic.
        reward: finite reward from the environment.
        terminated: whether the episode is over.
        truncated: whether the episode was cut off.
        next_value: value of the next state by the critic; unused if `terminated`.
        context: name of the network and limit; one-step episodes are compared with others of the same context.
    """

    observation: Observation
    action: Tensor
    log_prob: Tensor
    value: float
    reward: float
    terminated: bool
    truncated: bool = False
    next_value: float = 0.0
    context: str = ""


@dataclass(frozen=True, eq=False)
class Minibatch:
    """Some steps of a rollout, joined.

    Attributes:
        observations: B states.
        action: actions, float32 [ΣG].
        log_prob: log-probability under the policy that acted, float32 [ΣG].
        advantage: advantage of each component's step, float32 [ΣG].
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

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: Step) -> None:
        """Append a step.

        Raises:
            ValueError: the length of the action or of its log-probability is not the observation's number of groups.
        """
        groups = step.observation.num_groups
        if step.action.shape != (groups,) or step.log_prob.shape != (groups,):
            raise ValueError(
                f"A step with {groups} groups needs action and log_prob of shape [{groups}], got "
                f"{list(step.action.shape)} and {list(step.log_prob.shape)}."
            )
        self.steps.append(step)

    @property
    def is_relative(self) -> bool:
        """True if every episode has one step and others of its context, so that no critic is needed."""
        plans = Counter(step.context for step in self.steps)
        return all(step.terminated or step.truncated for step in self.steps) and min(plans.values(), default=0) > 1

    def advantages(self, gamma: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
        """Return normalised advantages [T] and the critic's targets [T].

        One-step episodes are compared with the others of their context. Other episodes use GAE.
        """
        reward = torch.tensor([step.reward for step in self.steps])
        value = torch.tensor([step.value for step in self.steps])
        if self.is_relative:
            numbers = {context: number for number, context in enumerate({step.context: None for step in self.steps})}
            context = torch.tensor([numbers[step.context] for step in self.steps])
            return relative_advantage(reward, context), reward
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
        self,
        advantage: Tensor,
        value_target: Tensor,
        batch_size: int,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> Iterator[Minibatch]:
        """Yield every step once, in shuffled minibatches of `batch_size` steps.

        Args:
            advantage: advantage of each step [T].
            value_target: target of the critic for each step [T].
            batch_size: steps in a minibatch; the last one may be smaller.
            generator: random generator on the CPU, the only source of randomness.
            device: device of the minibatches.
        """
        for chosen in torch.split(torch.randperm(len(self), generator=generator), batch_size):
            steps = [self.steps[i] for i in chosen.tolist()]
            observations = batch([step.observation for step in steps]).to(device)
            yield Minibatch(
                observations,
                action=torch.cat([step.action for step in steps]).to(device),
                log_prob=torch.cat([step.log_prob for step in steps]).to(device),
                advantage=advantage[chosen].to(device)[observations.group_observation],
                value_target=value_target[chosen].to(device),
            )
