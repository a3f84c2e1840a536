"""The graph policy's search without one of its parts at a time: settings of `PPOSearcher`, policies and tasks."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from marks import SCHEDULED, Arm
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnrl.agent.batching import ObservationBatch
from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import ActionEvaluation, ActorCritic, Decision, Policy
from gnnrl.agent.ppo import PPOConfig
from gnnrl.network.labels import Component
from gnnrl.pruning.projection import Projection
from gnnrl.searchers.ppo import PPOSearcher
from gnnrl.searchers.task import Searcher, Task

LOG_STD = PPOConfig().log_std_init
MEANS_RATE = 2e-2
"""Learning rate of a policy whose means are its parameters."""


def without_graph(observation: Observation, seed: int) -> Policy:
    """A free Gaussian for each group."""
    return ActorCritic(Means(observation.num_groups), Constant(), log_std_init=LOG_STD)


def one_stage(observation: Observation, seed: int) -> Policy:
    """The encoder without motifs."""
    return ActorCritic.build(observation, head="own", stages=1, seed=seed, log_std_init=LOG_STD)


def random_features(observation: Observation, seed: int) -> Policy:
    """The graph as it is, every feature of every node replaced by a number drawn once."""
    return Blind(ActorCritic.build(observation, head="own", seed=seed, log_std_init=LOG_STD), observation, seed)


def without_offsets(observation: Observation, seed: int) -> Policy:
    """What the graph says is all."""
    return ActorCritic.build(observation, seed=seed, log_std_init=LOG_STD)


class Means(nn.Module):
    """A free mean for each group of one network: one-step PPO is then close to a natural evolution strategy."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(groups))

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Return means [ΣG]."""
        return self.mean.repeat(len(batch))


class Constant(nn.Module):
    """The same value for all states, [B]."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Return values [B]."""
        return self.value.expand(len(batch))


class Blind(nn.Module):
    """A policy for one network that sees noise in place of features: always the same for the same node.

    Args:
        policy: what sees the noise.
        observation: of the network.
        seed: of the noise.
    """

    def __init__(self, policy: nn.Module, observation: Observation, seed: int) -> None:
        super().__init__()
        self.policy: Any = policy
        generator = torch.Generator().manual_seed(seed)
        self._x = torch.randn(observation.x.shape, generator=generator)
        self._operation_x = torch.randn(observation.operation_x.shape, generator=generator)

    def act(
        self, observation: Observation, generator: torch.Generator | None = None, deterministic: bool = False
    ) -> Decision:
        """Decide in one state, without gradients; `deterministic` asks for the mean."""
        blinded = dataclasses.replace(observation, x=self._x, operation_x=self._operation_x)
        decision: Decision = self.policy.act(blinded, generator, deterministic)
        return decision

    def evaluate(self, batch: ObservationBatch, action: Tensor) -> ActionEvaluation:
        """Evaluate actions [ΣG] that were taken in B states, with gradients."""
        x = self._x.repeat(batch.num_graphs, 1)
        evaluation: ActionEvaluation = self.policy.evaluate(
            dataclasses.replace(batch, x=x, operation_x=self._operation_x), action
        )
        return evaluation


class ColdTask(Task):
    """A task that knows no error curves: a wish says how far to leave the same keep ratio everywhere."""

    def plan(self, projection: Projection, wish: NDArray[np.float64]) -> Component:
        """Widths [G] of a wish [G]."""
        return projection.around(projection.of_logits(np.zeros(len(wish))), wish)


@dataclass(frozen=True)
class Cold:
    """A searcher without a warm start."""

    searcher: Searcher

    def __call__(self, task: Task) -> None:
        """Search a task that knows no error curves."""
        names = (
            "projection",
            "scorer",
            "curves",
            "scores",
            "evaluations",
            "seed",
            "on_trial",
            "memory",
            "executor",
            "trials",
        )
        self.searcher(ColdTask(**{name: getattr(task, name) for name in names}))


def _arm(name: str, searcher: Searcher, repair: str = "ls") -> Arm:
    return Arm(name, searcher, repair=repair, scheduled="ppo" in SCHEDULED)


VARIANTS = {
    arm.name: arm
    for arm in (
        _arm("ppo", PPOSearcher()),
        _arm("no graph", PPOSearcher(PPOConfig(learning_rate=MEANS_RATE), policy=without_graph)),
        _arm("one stage", PPOSearcher(policy=one_stage)),
        _arm("random features", PPOSearcher(policy=random_features)),
        _arm("no reward model", PPOSearcher(imitations=0)),
        _arm("no offsets", PPOSearcher(policy=without_offsets)),
        _arm("no warm start", Cold(PPOSearcher(imitations=0))),
        _arm("no repair", PPOSearcher(), repair="none"),
        _arm("BatchNorm only", PPOSearcher(), repair="bn"),
        _arm("3 steps", PPOSearcher(steps=3)),
        _arm("5 steps", PPOSearcher(steps=5)),
        _arm("free steps", PPOSearcher(projection="none")),
    )
}
