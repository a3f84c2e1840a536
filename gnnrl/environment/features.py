"""Observations of networks that are pruned: features of both levels of the graph."""

from math import log2, prod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag

from gnnrl.agent.observation import EDGE_TYPES, Observation
from gnnrl.network.cost import Budget
from gnnrl.network.hierarchy import EDGES, Hierarchy
from gnnrl.network.labels import Component

INSTANCE_FEATURES = ("is_instance", "macs_now", "macs_dense", "log_resolution", "log_operations", "keep_ratio")
GROUP_FEATURES = (
    "is_group",
    "keep_ratio",
    "log_size",
    "macs_price",
    "params_price",
    "macs_produced",
    "log_places",
    "instances",
)
SHARED_FEATURES = ("depth", "macs_left", "budget", "time")
NODE_FEATURES = len(INSTANCE_FEATURES) + len(GROUP_FEATURES) + len(SHARED_FEATURES)
"""Number of features of a level-2 node without signals."""
_EDGE_TYPE = np.array([EDGE_TYPES.index(name) for name in EDGES], np.int64)
"""Edge type in observations of each meaning of a hierarchy's edges."""


def observe(
    hierarchy: Hierarchy,
    widths: Component,
    budget: Budget,
    *,
    time: float = 0.0,
    signals: NDArray[np.float32] | None = None,
) -> Observation:
    """Return the observation of a network at widths [G], with a budget to meet.

    Args:
        time: share of the episode's steps that are over, in [0, 1].
        signals: further features of each group [G, K] (error curves, importance, prior).
    """
    network, count = hierarchy.network, len(hierarchy.instances)
    dense = network.widths
    cost, full = network.cost.measure(widths), network.cost.measure(dense)
    known = np.zeros((len(dense), 0)) if signals is None else signals
    depth = np.linspace(0, 1, count)
    first = np.array([found[0] if found else 0 for found in hierarchy.members], np.int64)
    # Rows: instances, then groups. Columns: features of instances, of groups, depth, shared ones, signals.
    x = np.column_stack(
        [
            block_diag(_instance_rows(hierarchy, widths), _group_rows(hierarchy, widths)),
            np.append(depth, depth[first] if count else np.zeros(len(dense))),
            np.tile([budget.excess(cost) - 1, 1 / budget.excess(full), time], (count + len(dense), 1)),
            np.pad(known, ((count, 0), (0, 0))),
        ]
    )
    return Observation(
        operation_x=torch.from_numpy(hierarchy.operation_x),
        operation_edge_index=torch.from_numpy(hierarchy.operation_edges),
        operation_motif=torch.from_numpy(hierarchy.operation_motif),
        x=torch.from_numpy(x.astype(np.float32)),
        edge_index=torch.from_numpy(hierarchy.edges),
        edge_type=torch.from_numpy(_EDGE_TYPE[hierarchy.edge_types]),
        motif=torch.tensor([*(i.motif for i in hierarchy.instances), *([-1] * len(dense))]),
        group_nodes=torch.arange(count, count + len(dense)),
    )


def _instance_rows(hierarchy: Hierarchy, widths: Component) -> NDArray[np.float64]:
    network = hierarchy.network
    dense = network.cost.macs_by_operation(network.widths, len(network.operations))
    now = network.cost.macs_by_operation(widths, len(network.operations))
    ratio = widths / network.widths
    largest = max((prod(operation.shape[2:]) for operation in network.operations), default=1)
    rows = []
    for instance in hierarchy.instances:
        operations = list(instance.operations)
        resolution = max(prod(network.operations[number].shape[2:]) for number in operations)
        rows.append(
            [
                1.0,
                now[operations].sum() / max(dense.sum(), 1),
                dense[operations].sum() / max(dense.sum(), 1),
                log2(max(resolution, 1) / largest) / 8,
                log2(len(operations)) / 4,
                float(ratio[list(instance.groups)].mean()) if instance.groups else 1.0,
            ]
        )
    return np.array(rows).reshape(-1, len(INSTANCE_FEATURES))


def _group_rows(hierarchy: Hierarchy, widths: Component) -> NDArray[np.float64]:
    network = hierarchy.network
    dense = network.cost.measure(network.widths)
    macs = network.cost.price("macs", widths) * network.widths / max(dense.macs, 1)
    params = network.cost.price("params", widths) * network.widths / max(dense.params, 1)
    return np.stack(
        [
            np.ones(len(widths)),
            widths / network.widths,
            np.log2(network.widths) / 8,
            macs,
            params,
            np.array([group.macs_share for group in network.groups]),
            np.log2([len(group.places) for group in network.groups]) / 4,
            np.array([len(found) / max(len(hierarchy.instances), 1) for found in hierarchy.members]),
        ],
        1,
    ).reshape(-1, len(GROUP_FEATURES))
