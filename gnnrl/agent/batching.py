"""Batches of observations, in which equal graphs are stored once.

An update of PPO reads the same state many times, because in a one-step search every episode starts from the same
network. Different states share motifs. Equal ones are found by content, so no graph and no motif is embedded twice.

B = observations, U <= B = distinct level-2 graphs, M = motifs of the distinct level-1 graphs, ΣG = groups of all B.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self

import torch
from torch import Tensor

from gnnrl.agent.observation import Observation

OPERATION_FIELDS = ("operation_x", "operation_edge_index", "operation_motif")
NODE_FIELDS = ("x", "edge_index", "edge_type", "motif", "group_nodes")


@dataclass(frozen=True, eq=False)
class ObservationBatch:
    """B observations: a disjoint union of the distinct graphs, and the graph of each observation.

    Attributes:
        operation_x, operation_edge_index, operation_motif, x, edge_index, edge_type, motif: as in `Observation`, with
            operations, motifs and nodes numbered across all graphs.
        num_motifs: M.
        batch: level-2 graph of each node, 0 to U - 1, int64 [N].
        num_graphs: U.
        observation_graph: level-2 graph of each observation, int64 [B].
        group_nodes: node of each group of each observation, int64 [ΣG].
        group_observation: observation of each group, int64 [ΣG].
        num_groups: number of groups of each observation, one entry for each.
    """

    operation_x: Tensor
    operation_edge_index: Tensor
    operation_motif: Tensor
    num_motifs: int
    x: Tensor
    edge_index: Tensor
    edge_type: Tensor
    motif: Tensor
    batch: Tensor
    num_graphs: int
    observation_graph: Tensor
    group_nodes: Tensor
    group_observation: Tensor
    num_groups: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.num_groups)

    def to(self, device: torch.device | str) -> Self:
        """Return the same batch on a device."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if torch.is_tensor(value)}
        return dataclasses.replace(self, **moved)


def batch(observations: Sequence[Observation]) -> ObservationBatch:
    """Join observations on the CPU into one batch, in which equal graphs are stored once.

    Raises:
        ValueError: there is no observation.
    """
    if not observations:
        raise ValueError("batch() needs at least one observation.")
    graphs, graph_of = _distinct(observations, OPERATION_FIELDS + NODE_FIELDS)
    blocks, block_of = _distinct(graphs, OPERATION_FIELDS)
    # The numbers of a graph's operations, motifs and nodes start after those of the graphs before it.
    operations = [*accumulate((len(block.operation_x) for block in blocks), initial=0)]
    motifs = [*accumulate((block.num_motifs for block in blocks), initial=0)]
    nodes = [*accumulate((len(graph.x) for graph in graphs), initial=0)]
    num_groups = [observation.num_groups for observation in observations]
    return ObservationBatch(
        operation_x=torch.cat([block.operation_x for block in blocks]),
        operation_edge_index=_shifted([block.operation_edge_index for block in blocks], operations),
        operation_motif=_shifted([block.operation_motif for block in blocks], motifs),
        num_motifs=motifs[-1],
        x=torch.cat([graph.x for graph in graphs]),
        edge_index=_shifted([graph.edge_index for graph in graphs], nodes),
        edge_type=torch.cat([graph.edge_type for graph in graphs]),
        motif=_shifted([graph.motif for graph in graphs], [motifs[block] for block in block_of]),
        batch=_numbered([len(graph.x) for graph in graphs]),
        num_graphs=len(graphs),
        observation_graph=torch.tensor(graph_of),
        group_nodes=_shifted([graphs[graph].group_nodes for graph in graph_of], [nodes[graph] for graph in graph_of]),
        group_observation=_numbered(num_groups),
        num_groups=tuple(num_groups),
    )


def _shifted(numbers: Sequence[Tensor], starts: Sequence[int]) -> Tensor:
    """Join numbers, each counted from its start. The -1 of a group stays."""
    shifted = [part.where(part < 0, part + start) for part, start in zip(numbers, starts, strict=False)]
    return torch.cat(shifted, dim=-1)


def _numbered(sizes: Sequence[int]) -> Tensor:
    """Return the number of the part that each of the joined entries belongs to."""
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))


def _distinct(observations: Sequence[Observation], fields: Sequence[str]) -> tuple[list[Observation], list[int]]:
    """Return the observations that differ in some fields, and for every observation the index of its equal."""
    positions: dict[tuple[Any, ...], int] = {}
    distinct: list[Observation] = []
    index = []
    for observation in observations:
        tensors = [getattr(observation, field) for field in fields]
        content = tuple((tuple(tensor.shape), tensor.cpu().numpy().tobytes()) for tensor in tensors)
        if content not in positions:
            positions[content] = len(distinct)
            distinct.append(observation)
        index.append(positions[content])
    return distinct, index
