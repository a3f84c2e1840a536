"""Observations: a network at its current widths as a graph of two levels.

Level 1 holds the operations inside each distinct motif (repeated block). Level 2 holds the instances of the motifs and
the groups that the policy decides about. This module also converts observations to Gymnasium's spaces.

N1 = operations, F1 = their features, M = distinct motifs, N = level-2 nodes, F2 = their features, G = groups.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

EDGE_TYPES = ("dataflow", "dataflow_reverse", "member", "member_reverse")
"""Meanings of the edges of level 2; `edge_type` indexes this tuple."""

MOST_MOTIFS = 1 << 20
"""A bound that Gymnasium's discrete spaces need, far above the motifs of any network."""


@dataclass(frozen=True, eq=False)
class Observation:
    """One state: the hierarchical computational graph of a network at its current widths.

    Attributes:
        operation_x: features of the operations inside all distinct motifs, float32 [N1, F1].
        operation_edge_index: dataflow between them, int64 [2, E1].
        operation_motif: motif that each operation belongs to, 0 to M - 1, int64 [N1].
        x: features of the level-2 nodes, motif instances first, then groups, float32 [N, F2].
        edge_index: edges of level 2, int64 [2, E].
        edge_type: index of each edge's meaning in `EDGE_TYPES`, int64 [E].
        motif: motif that each node is an instance of, -1 for a group, int64 [N].
        group_nodes: node of each group, in the order of the action, int64 [G].
    """

    operation_x: Tensor
    operation_edge_index: Tensor
    operation_motif: Tensor
    x: Tensor
    edge_index: Tensor
    edge_type: Tensor
    motif: Tensor
    group_nodes: Tensor

    @property
    def num_groups(self) -> int:
        """Number of groups, which is the length of the action."""
        return len(self.group_nodes)

    @property
    def num_motifs(self) -> int:
        """Number of distinct motifs, including those without operations."""
        used = torch.cat([self.operation_motif, self.motif])
        return int(used.max()) + 1 if len(used) else 0


GraphState = dict[str, spaces.GraphInstance | NDArray[Any]]
"""An element of `observation_space`."""


def observation_space(observation: Observation) -> spaces.Dict:
    """Describe the observations of one network as a Gymnasium space.

    The network determines the numbers of features and of groups. All other sizes can change from step to step: two
    equal blocks become different motifs as soon as they are pruned differently.
    """
    # Graph spaces reject a GraphInstance with edge_links but without edge features, so both levels have edge features.
    return spaces.Dict(
        {
            "operations": spaces.Graph(_box(observation.operation_x.shape[1]), _box(1)),
            "operation_motif": _indices(0),
            "nodes": spaces.Graph(_box(observation.x.shape[1]), _box(len(EDGE_TYPES))),
            "motif": _indices(-1),
            "group_nodes": spaces.Box(0, np.iinfo(np.int64).max, (observation.num_groups,), np.int64),
        }
    )


def to_space(observation: Observation) -> GraphState:
    """Convert an observation to `observation_space`: NumPy arrays, with edge types as one-hot edge features."""
    operation_edges = np.ones((observation.operation_edge_index.shape[1], 1), np.float32)
    edges = np.eye(len(EDGE_TYPES), dtype=np.float32)[_array(observation.edge_type)]
    return {
        "operations": spaces.GraphInstance(
            _array(observation.operation_x), operation_edges, _array(observation.operation_edge_index.T)
        ),
        "operation_motif": _array(observation.operation_motif),
        "nodes": spaces.GraphInstance(_array(observation.x), edges, _array(observation.edge_index.T)),
        "motif": _array(observation.motif),
        "group_nodes": _array(observation.group_nodes),
    }


def _box(length: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (length,), np.float32)


def _indices(lowest: int) -> spaces.Sequence:
    return spaces.Sequence(spaces.Discrete(MOST_MOTIFS, start=lowest), stack=True)


def _array(tensor: Tensor) -> NDArray[Any]:
    # Copy, because users of Gymnasium may write into the arrays.
    return np.array(tensor.cpu().contiguous().numpy())
