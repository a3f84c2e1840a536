"""The multi-stage graph encoder: stage 1 embeds motifs, stage 2 the network of their instances.

Yu, Mazaheri, Jannesari, "Topology-Aware Network Pruning using Multi-stage Graph Embedding and Reinforcement
Learning", ICML 2022, https://proceedings.mlr.press/v162/yu22e.html.

N1 = operations, M = distinct motifs, N = level-2 nodes, U = level-2 graphs, H = hidden width, D = embedding width.
"""

import torch
from torch import Tensor, nn
from torch_geometric.nn import RGCNConv, global_max_pool, global_mean_pool

from gnnrl.agent.batching import ObservationBatch
from gnnrl.agent.observation import EDGE_TYPES
from gnnrl.errors import ConfigError


class RelationalBlock(nn.Module):
    """One residual step of message passing with separate weights for each type of edge.

        h_i ← h_i + ReLU(W_0 n_i + Σ_r mean_{j ∈ N_r(i)} W_r n_j),   n = LayerNorm(h)

    The relational operator of Schlichtkrull et al. 2018, https://arxiv.org/abs/1703.06103.
    """

    def __init__(self, width: int, num_edge_types: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = RGCNConv(width, width, num_edge_types)

    def forward(self, h: Tensor, edge_index: Tensor, edge_type: Tensor) -> Tensor:
        """Map node states [N, H] to node states [N, H]."""
        update: Tensor = self.conv(self.norm(h), edge_index, edge_type)
        return h + update.relu()


class MotifEncoder(nn.Module):
    """Stage 1: embed each distinct motif once from the graph of its operations, [N1, F1] -> [M, H].

    Messages run along the dataflow and against it, with different weights. Mean and maximum over the operations of a
    motif are its embedding.
    """

    def __init__(self, operation_dim: int, hidden_dim: int, num_layers: int) -> None:
        super().__init__()
        self.input = nn.Linear(operation_dim, hidden_dim)
        self.blocks = nn.ModuleList(RelationalBlock(hidden_dim, 2) for _ in range(num_layers))
        self.output = nn.Linear(2 * hidden_dim, hidden_dim)

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Return one row for each motif [M, H]."""
        forward = batch.operation_edge_index
        edge_index = torch.cat([forward, forward.flip(0)], dim=1)
        edge_type = torch.arange(2, device=forward.device).repeat_interleave(forward.shape[1])
        h = self.input(batch.operation_x)
        for block in self.blocks:
            h = block(h, edge_index, edge_type)
        mean = global_mean_pool(h, batch.operation_motif, batch.num_motifs)
        maximum = global_max_pool(h, batch.operation_motif, batch.num_motifs)
        embedding: Tensor = self.output(torch.cat([mean, maximum], dim=1))
        return embedding


class MultiStageEncoder(nn.Module):
    """Embed the nodes of hierarchical computational graphs, [N, F2] -> [N, D].

    Stage 2 starts from a node's features plus the embedding of its motif, and passes messages along the typed edges
    between instances and groups. Without dropout and statistics of the batch, a graph has the same embedding alone and
    among others.

    Args:
        operation_dim: features of an operation, F1.
        node_dim: features of a level-2 node, F2.
        hidden_dim: width inside both stages, H.
        embedding_dim: width of the result, D.
        layers: steps of message passing in stage 1 and in stage 2.
        stages: 2, or 1 to omit stage 1 in an ablation.

    Raises:
        ConfigError: `stages` is neither 1 nor 2.
    """

    def __init__(
        self,
        operation_dim: int,
        node_dim: int,
        hidden_dim: int = 64,
        embedding_dim: int = 64,
        layers: tuple[int, int] = (2, 3),
        stages: int = 2,
    ) -> None:
        super().__init__()
        if stages not in (1, 2):
            raise ConfigError(f"stages={stages}: the encoder has 2 stages, or 1 without motifs.")
        self.embedding_dim = embedding_dim
        self.motifs = MotifEncoder(operation_dim, hidden_dim, layers[0]) if stages == 2 else None
        self.input = nn.Linear(node_dim, hidden_dim)
        self.blocks = nn.ModuleList(RelationalBlock(hidden_dim, len(EDGE_TYPES)) for _ in range(layers[1]))
        self.norm = nn.LayerNorm(hidden_dim)
        self.output = nn.Linear(hidden_dim, embedding_dim)

    def forward(self, batch: ObservationBatch) -> Tensor:
        """Return node embeddings [N, D]."""
        h = self.input(batch.x)
        if self.motifs is not None:
            instances = (batch.motif >= 0).nonzero().squeeze(1)
            h = h.index_add(0, instances, self.motifs(batch)[batch.motif[instances]])
        for block in self.blocks:
            h = block(h, batch.edge_index, batch.edge_type)
        embedding: Tensor = self.output(self.norm(h))
        return embedding


def graph_embedding(node_embedding: Tensor, batch: ObservationBatch) -> Tensor:
    """Average the nodes of each graph, [N, D] -> [U, D]."""
    embedding: Tensor = global_mean_pool(node_embedding, batch.batch, batch.num_graphs)
    return embedding
