"""Heads on the graph encoder: means for every group of a network, and the value of a state.

B = observations, ΣG = groups of all B.
"""

import math

import torch
from torch import Tensor, nn

from gnnrl.agent.batching import ObservationBatch
from gnnrl.agent.encoder import MultiStageEncoder, graph_embedding
from gnnrl.errors import ConfigError

OFFSET_SCALE = 7.0
"""Factor of the offsets of groups, by which they move further in a step of the optimiser."""


class NodeActor(nn.Module):
    """Head for networks of any size: the mean of a group from the embeddings of its node and of the graph.

    The last layer starts at zero, so the first mean is exactly 0 for every group of every network.

    Args:
        encoder: embeds the nodes.
        own_groups: number of groups if only one network is searched. A free offset is then added to each mean, which
            learns in a few steps what the graph would need hundreds for. None for networks of any size.
    """

    def __init__(self, encoder: MultiStageEncoder, own_groups: int | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = _perceptron(2 * encoder.embedding_dim, encoder.embedding_dim, 1, gain=0.0)
        self.offset = None if own_groups is None else nn.Parameter(torch.zeros(own_groups))

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Return means [ΣG].

        Raises:
            ConfigError: the head has offsets, and an observation has another number of groups.
        """
        nodes = self.encoder(batch)
        graphs = graph_embedding(nodes, batch)[batch.observation_graph[batch.group_observation]]
        mean: Tensor = self.head(torch.cat([nodes[batch.group_nodes], graphs], dim=1)).squeeze(1)
        if self.offset is None:
            return mean
        if other := sorted(set(batch.num_groups) - {len(self.offset)}):
            raise ConfigError(
                f"a policy with offsets decides about {len(self.offset)} groups, but the network has "
                f'{", ".join(map(str, other))}. Use head="node", which fits networks of any size, or build a policy '
                "for this network."
            )
        return mean + OFFSET_SCALE * self.offset.repeat(len(batch))


class Critic(nn.Module):
    """Critic with its own encoder: the value of a state from the embedding of the whole graph."""

    def __init__(self, encoder: MultiStageEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = _perceptron(encoder.embedding_dim, encoder.embedding_dim, 1, gain=1.0)

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Return values [B]."""
        value: Tensor = self.head(graph_embedding(self.encoder(batch), batch))
        return value[batch.observation_graph, 0]


def _perceptron(in_dim: int, hidden_dim: int, out_dim: int, gain: float) -> nn.Sequential:
    hidden, output = nn.Linear(in_dim, hidden_dim), nn.Linear(hidden_dim, out_dim)
    for layer, layer_gain in ((hidden, math.sqrt(2)), (output, gain)):
        nn.init.orthogonal_(layer.weight, layer_gain)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(hidden, nn.ReLU(), output)
