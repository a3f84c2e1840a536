"""Small observations and decision problems whose answers are known."""

import dataclasses

import torch
from torch import Tensor, nn

from gnnrl.agent.batching import ObservationBatch
from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import ActorCritic
from gnnrl.agent.ppo import PPO, PPOStats
from gnnrl.agent.rollout import Rollout, Step


def chain(num_groups: int = 4, seed: int = 0, num_motifs: int = 2) -> Observation:
    """A chain of blocks, one group each; block i is an instance of motif i modulo `num_motifs`."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.arange(num_groups)
    groups = blocks + num_groups
    edges = [
        torch.stack([blocks[:-1], blocks[1:]]),
        torch.stack([blocks[1:], blocks[:-1]]),
        torch.stack([groups, blocks]),
        torch.stack([blocks, groups]),
    ]
    first = torch.arange(num_motifs) * 3
    return Observation(
        operation_x=torch.randn(3 * num_motifs, 5, generator=generator),
        operation_edge_index=torch.cat([torch.stack([first, first + 1]), torch.stack([first + 1, first + 2])], dim=1),
        operation_motif=torch.arange(num_motifs).repeat_interleave(3),
        x=torch.randn(2 * num_groups, 7, generator=generator),
        edge_index=torch.cat(edges, dim=1),
        edge_type=torch.cat([torch.full((edge.shape[1],), kind) for kind, edge in enumerate(edges)]),
        motif=torch.cat([blocks % num_motifs, torch.full((num_groups,), -1)]),
        group_nodes=groups,
    )


def permuted(observation: Observation, order: Tensor) -> Observation:
    """The same network with its level-2 nodes renumbered: node i of the result is node order[i]."""
    position = order.argsort()
    return dataclasses.replace(
        observation,
        x=observation.x[order],
        motif=observation.motif[order],
        edge_index=position[observation.edge_index],
        group_nodes=position[observation.group_nodes],
    )


def with_features(observation: Observation, x: Tensor) -> Observation:
    """The same network in another state."""
    return dataclasses.replace(observation, x=x)


class Free(nn.Module):
    """A mean for each group of one network, without a graph, [ΣG]."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(groups))

    def forward(self, batch: ObservationBatch) -> Tensor:
        return self.mean.repeat(len(batch))


class Constant(nn.Module):
    """The same value for all states, [B]."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def forward(self, batch: ObservationBatch) -> Tensor:
        return self.value.expand(len(batch))


def free_gaussian(groups: int = 4) -> ActorCritic:
    """A free Gaussian for each group."""
    return ActorCritic(Free(groups), Constant())


def play_bandit(ppo: PPO, observation: Observation, target: Tensor, updates: int) -> list[PPOStats]:
    """One-step episodes with the reward -mean((action - target)²), which is largest at the target."""
    stats = []
    for _ in range(updates):
        rollout = Rollout()
        for _ in range(ppo.config.n_steps):
            decision = ppo.act(observation)
            reward = -(decision.action - target).square().mean().item()
            rollout.add(Step(observation, decision, reward, terminated=True))
        stats.append(ppo.update(rollout))
    return stats
