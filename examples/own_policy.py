"""A policy network of one's own: another encoder under gnnrl's actor and critic, and an actor-critic without any graph.

    python examples/own_policy.py
    gnnrl prune --searcher examples/own_policy.py:transformer ...

Anything that follows `gnnrl.agent.policy.Policy` will do. A package offers a searcher with its policy to everybody
under a name with an entry point in its pyproject.toml:

    [project.entry-points."gnnrl.searchers"]
    transformer = "my_package.policy:transformer"
"""

from typing import Any

import torch
from digits import judges, load_digits
from torch import Tensor, nn
from torch_geometric.nn import TransformerConv

from gnnrl import compare
from gnnrl.agent.batching import ObservationBatch
from gnnrl.agent.heads import Critic, NodeActor
from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import ActorCritic, Policy
from gnnrl.searchers.ppo import PPOSearcher
from gnnrl.zoo.models import example_inputs


class TransformerEncoder(nn.Module):
    """Attention along the edges of the network's graph, [N, F] -> [N, D]; the motifs are left out."""

    def __init__(self, node_dim: int, embedding_dim: int = 32) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.input = nn.Linear(node_dim, embedding_dim)
        self.attention = TransformerConv(embedding_dim, embedding_dim // 4, heads=4)

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Embed every node of the batch [N, D]."""
        h = self.input(batch.x)
        attended: Tensor = self.attention(h, batch.edge_index)
        return h + attended.relu()


def build_transformer(observation: Observation, seed: int) -> Policy:
    """Put gnnrl's heads on an encoder of one's own; each head has an encoder for itself."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        width = observation.x.shape[1]
        actor = NodeActor(TransformerEncoder(width), observation.num_groups)
        return ActorCritic(actor, Critic(TransformerEncoder(width)))


class GroupActor(nn.Module):
    """Decides about every group from its own features alone, [ΣG]."""

    def __init__(self, node_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(node_dim, 32), nn.Tanh(), nn.Linear(32, 1))
        nn.init.zeros_(self.layers[2].weight)  # the first plan is the closed form
        nn.init.zeros_(self.layers[2].bias)

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Means of the groups' actions [ΣG]."""
        mean: Tensor = self.layers(batch.x[batch.group_nodes])
        return mean.squeeze(1)


class Constant(nn.Module):
    """A critic with one opinion of all states [B]."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Values of the observations [B]."""
        return self.value.expand(len(batch))


def build_groupwise(observation: Observation, seed: int) -> Policy:
    """An actor-critic that sees no graph."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ActorCritic(GroupActor(observation.x.shape[1]), Constant())


def transformer(task: Any) -> None:
    """PPO with the transformer; its name stands in tables and on the command line."""
    PPOSearcher(policy=build_transformer)(task)


def groupwise(task: Any) -> None:
    """PPO with the policy without a graph."""
    PPOSearcher(policy=build_groupwise)(task)


def main(episodes: int = 24) -> None:
    """Compare both with gnnrl's own policy."""
    model, digits = load_digits()
    comparison = compare(
        model,
        example_inputs("digits-resnet"),
        "macs<=50%",
        **judges(digits),
        searchers=[transformer, groupwise, "ppo"],
        seeds=[0],
        episodes=episodes,
    )
    for row in comparison.rows():
        print(f"{row.searcher:12} {row.evaluations:3} evaluations  best reward {row.reward:.4f}  test {row.test:.2%}")


if __name__ == "__main__":
    main()
