"""Shares of the MACs that compute the channels of groups. The shares of all groups add up to one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import fx

from gnnrl.network.labelling.groups import Grouping
from gnnrl.network.labelling.operations.call import Tensors
from gnnrl.network.labels import Component, Value
from gnnrl.network.reasons import Kind, Reason
from gnnrl.network.structure import Group, Operation


def with_shares(
    found: Grouping,
    operations: Sequence[Operation],
    weights: Mapping[int, str],
    tensors: Tensors,
    values: Mapping[int, Sequence[Value]],
) -> tuple[list[Group], list[Group]]:
    """Return all groups, free and frozen, with the share of all MACs that compute their channels.

    The channels that an operation computes are those of its stored weight; without one, those of its result or, if the
    result has a fixed size, those that it reads. MACs that belong to no channel of a layer are a frozen group each.

    Args:
        weights: stored weight of each operation that has one, see `stored_weight`.
        values: labels of the result of each operation with MACs, then those of its operands.
    """
    macs = found.cost.macs_by_operation(np.diff(found.offsets), len(operations))
    macs = macs / max(int(macs.sum()), 1)
    groups = [*found.groups, *found.frozen]
    shares = np.zeros(len(groups))
    nobodys = []
    for operation in operations:
        if not macs[operation.index]:
            continue
        weight = weights.get(operation.index, "")
        dim = int("transpose" in operation.name and operation.settings["groups"] == 1)
        if (labels := tensors.labels.get((weight, dim))) is None:
            labels = _channels(values.get(operation.index, ()), found.homes)
        parts = np.zeros(len(groups))
        homes = found.homes[labels.ravel()]
        np.add.at(parts, homes[homes >= 0], macs[operation.index] / max(labels.size, 1))
        shares += parts
        if (rest := macs[operation.index] - parts.sum()) > 1e-9:
            nobodys.append(_nobodys(operation, rest))
    told = [replace(group, macs_share=float(share)) for group, share in zip(groups, shares, strict=True)]
    return told[: len(found.groups)], [*told[len(found.groups) :], *nobodys]


def _channels(values: Sequence[Value], homes: Component) -> Component:
    """Return the most labels of the first tensor that has any of a layer, or none."""
    for value in values:
        known = [labels for labels in value.components if (homes[labels] >= 0).all()]
        if known:
            return max(known, key=lambda labels: labels.size)
    return np.empty(0, np.int64)


def _nobodys(operation: Operation, share: float) -> Group:
    """Return a frozen group for the MACs of an operation on tensors without channels of a layer."""
    reason = Reason(Kind.NO_LAYER, operation.name, operation.module, operation.location)
    return Group(-1, operation.module or operation.name, max(operation.shape, default=1), (), (reason,), share)


def stored_weight(weight: fx.Node, names: Mapping[fx.Node, object], weights: set[fx.Node]) -> str:
    """Return the parameter that a weight is, or is computed from at its own shape (weight norm), or "".

    Args:
        names: name of each node that is a parameter or buffer.
        weights: nodes that are computed from only parameters and buffers.
    """
    shape, waiting, seen = weight.meta["val"].shape, [weight], {weight}
    while waiting:
        node = waiting.pop(0)
        name = names.get(node)
        if isinstance(name, str) and node.meta["val"].shape == shape:
            return name
        sources = [source for source in node.all_input_nodes if source in weights and source not in seen]
        waiting += sources
        seen.update(sources)
    return ""
