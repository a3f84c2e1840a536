"""Kinds of groups: heads of attention, a hidden layer, the residual stream, or other channels."""

from collections.abc import Mapping, Sequence
from math import prod

from gnnrl.network.labels import Component
from gnnrl.network.structure import PRODUCTS, Group, Operation, groups_along

_Layers = Mapping[str, Sequence[Operation]]


def kinds_of(
    groups: Sequence[Group], operations: Sequence[Operation], offsets: Component, shapes: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """Return each group's kind, by the operations that its units pass through.

    "heads": whole heads of attention, which are a batch dimension of a product of two computed tensors.
    "stream": channels that pass a residual addition, so that several layers write them.
    "hidden": the hidden layer of a feed-forward block. Linear or 1x1 layers write it from one tensor (two layers if it
        is gated) and one layer reads it, without attention or a spatial kernel in between.
    "channels": all other groups.

    Args:
        offsets: global number of the first unit of each group [G + 1].
        shapes: shape of every parameter.
    """
    heads, multiplied, added = set[int](), set[int](), set[int]()
    layers: dict[str, list[Operation]] = {}
    for operation in operations:
        if operation.is_layer:
            layers.setdefault(operation.parameters["weight"], []).append(operation)
        for axis in operation.axes if operation.name in PRODUCTS else ():
            found = groups_along(offsets, [axis.owner])
            multiplied |= found
            heads |= found if axis.dim == len(operation.shape) - 3 else set()
        for axis in operation.axes if operation.name == "add" and len(operation.inputs) > 1 else ():
            added |= groups_along(offsets, [axis.owner])
    kinds = []
    for group in groups:
        writers, readers = _ends(group, layers)
        if group.index in heads and any(place.positions.shape[1] > 1 for place in group.places):
            kinds.append("heads")
        elif group.index in added and len(writers) > 1:
            kinds.append("stream")
        elif group.index not in multiplied and _is_hidden(writers, readers, shapes):
            kinds.append("hidden")
        else:
            kinds.append("channels")
    return kinds


def _ends(group: Group, layers: _Layers) -> tuple[list[Operation], list[Operation]]:
    """Return the layers that write a group and the layers that read it."""
    writers: list[Operation] = []
    readers: list[Operation] = []
    for place in group.places:
        for operation in layers.get(place.tensor, ()):
            output = 1 if "transpose" in operation.name else 0
            (writers if place.dim == output else readers).append(operation)
    return writers, readers


def _is_hidden(
    writers: Sequence[Operation], readers: Sequence[Operation], shapes: Mapping[str, tuple[int, ...]]
) -> bool:
    kernels = [prod(shapes[operation.parameters["weight"]][2:]) for operation in (*writers, *readers)]
    return len({operation.inputs for operation in writers}) == 1 and len(readers) == 1 and set(kernels) == {1}
