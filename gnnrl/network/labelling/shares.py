"""Shares of the MACs that compute the channels of groups."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import fx

from gnnrl.network.labelling.groups import Grouping
from gnnrl.network.labelling.operations.call import Tensors
from gnnrl.network.structure import Group, Operation


def macs_shares(
    found: Grouping, operations: Sequence[Operation], weights: Mapping[int, str], tensors: Tensors
) -> Callable[[Group], float]:
    """Return a function that gives the share of all MACs that compute a group's channels.

    Args:
        weights: stored weight of each operation that has one, see `stored_weight`.
    """
    widths = np.diff(found.offsets)
    macs = found.cost.macs_by_operation(widths, len(operations))
    by_weight: dict[tuple[str, int], float] = {}
    for operation, value in zip(operations, macs, strict=True):
        if weight := weights.get(operation.index):
            key = weight, int("transpose" in operation.name and operation.settings["groups"] == 1)
            by_weight[key] = by_weight.get(key, 0.0) + float(value) / max(int(macs.sum()), 1)

    def share(group: Group) -> float:
        return sum(
            value * place.positions.size / tensors.shapes[place.tensor][place.dim]
            for place in group.places
            if (value := by_weight.get((place.tensor, place.dim)))
        )

    return share


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
