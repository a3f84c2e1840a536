"""Batches of observations, in which equal graphs are stored once.

An update of PPO reads the same state many times, because in a one-step search every episode starts from the same
network. Different states share motifs. Equal ones are found by content, so no graph and no motif is embedded twice.

B = observations, U <= B = distinct level-2 graphs, M = motifs of the distinct level-1 graphs, ΣG = groups of all B.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnrl.agent.observation import Observation

OPERATION_FIELDS = ("operation_x", "operation_edge_index", "operation_motif")
NODE_FIELDS = ("x", "edge_index", "edge_type", "motif", "group_nodes")


@dataclass(frozen=True, eq=False)
class ObservationBatch:
    """B observations: a disjoint union of the distinct graphs, and the graph of each observation.

    Attributes:
        operation_x: float32 [N1, F1].
        operation_edge_index: int64 [2, E1].
        operation_motif: motif of each operation, numbered across all level-1 graphs, int64 [N1].
        num_motifs: M.
        x: float32 [N, F2].
        edge_index: int64 [2, E].
        edge_type: int64 [E].
        motif: motif of each node, numbered like `operation_motif`, -1 for a group, int64 [N].
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

    def unbatch(self, values: Tensor) -> tuple[Tensor, ...]:
        """Split values of groups [ΣG] into one tensor [G] for each observation."""
        return torch.split(values, list(self.num_groups))


class _OperationGraph(Data):  # type: ignore[misc]  # torch_geometric is untyped
    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return self.num_motifs if key == "motif" else super().__inc__(key, value, *args, **kwargs)


class _NodeGraph(Data):  # type: ignore[misc]  # torch_geometric is untyped
    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return self.num_nodes if key == "group_nodes" else super().__inc__(key, value, *args, **kwargs)


def batch(observations: Sequence[Observation]) -> ObservationBatch:
    """Join observations on one device into one batch, in which equal graphs are stored once.

    Raises:
        ValueError: there is no observation.
    """
    if not observations:
        raise ValueError("batch() needs at least one observation.")
    graphs, observation_graph = _distinct(observations, OPERATION_FIELDS + NODE_FIELDS)
    blocks, graph_block = _distinct(graphs, OPERATION_FIELDS)
    operations = Batch.from_data_list([_operation_graph(block) for block in blocks])
    nodes = Batch.from_data_list([_node_graph(graph) for graph in graphs])
    device = nodes.x.device

    # Number motifs across blocks: shift each node's motif by the number of motifs in the blocks before its own.
    motif_start = (operations.num_motifs.cumsum(0) - operations.num_motifs).to(device)
    start_of_node = motif_start[torch.tensor(graph_block, device=device)][nodes.batch]
    graph_groups = nodes.group_nodes.split([graph.num_groups for graph in graphs])
    num_groups = tuple(observation.num_groups for observation in observations)
    return ObservationBatch(
        operation_x=operations.x,
        operation_edge_index=operations.edge_index,
        operation_motif=operations.motif,
        num_motifs=int(operations.num_motifs.sum()),
        x=nodes.x,
        edge_index=nodes.edge_index,
        edge_type=nodes.edge_type,
        motif=torch.where(nodes.motif < 0, nodes.motif, nodes.motif + start_of_node),
        batch=nodes.batch,
        num_graphs=len(graphs),
        observation_graph=torch.tensor(observation_graph, device=device),
        group_nodes=torch.cat([graph_groups[graph] for graph in observation_graph]),
        group_observation=torch.arange(len(observations), device=device).repeat_interleave(
            torch.tensor(num_groups, device=device)
        ),
        num_groups=num_groups,
    )


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


def _operation_graph(observation: Observation) -> Data:
    return _OperationGraph(
        x=observation.operation_x,
        edge_index=observation.operation_edge_index,
        motif=observation.operation_motif,
        num_motifs=observation.num_motifs,
    )


def _node_graph(observation: Observation) -> Data:
    return _NodeGraph(**{field: getattr(observation, field) for field in NODE_FIELDS})
