"""Operations that take positions of a dimension: ranges, parts, single positions, positions from a tensor."""

from collections.abc import Sequence
from math import prod

import numpy as np
import torch

from gnnrl.network.labelling.operations.call import Call, Rule, operation_name
from gnnrl.network.labelling.operations.pointwise import unify
from gnnrl.network.labels import Component, Value, squeeze_fixed, wide
from gnnrl.network.reasons import Kind


def slices(call: Call) -> Value:
    """Take a range of one dimension."""
    value = call.value("self")
    dim = int(call["dim"]) % len(value.shape)
    return take(call, value, dim, np.arange(value.shape[dim])[call["start"] : call["end"] : call["step"]])


def narrow(call: Call) -> Value:
    """Take a number of consecutive positions. The first one is a constant of the program."""
    value = call.value("self")
    dim, start = int(call["dim"]) % len(value.shape), int(call["start"])
    return take(call, value, dim, np.arange(value.shape[dim])[start:][: call["length"]])


def take(call: Call, value: Value, dim: int, index: Component) -> Value:
    """Return the labels at positions of one dimension.

    The first or the last channels can shrink independently of the others. If the code does not follow in a narrower
    probe, they are frozen later.
    """
    size, count = value.shape[dim], len(index)
    if count == size and (index == np.arange(size)).all():
        return Value(call.shape, value.components)
    at = 0
    if count and not call.stored("self"):
        ranges = ((count, np.arange(count)), (size - count, np.arange(size - count, size)))
        at = next((border for border, positions in ranges if np.array_equal(index, positions)), 0)
    if not at:
        return Value(call.shape, call.whole(value, [dim], Kind.CONSTANT_POSITIONS).components)
    components = []
    for component in value.components:
        if component.shape[dim] > 1:
            if len(wide(component)) > 1:
                component = call.space.pin(component, [dim])
            else:
                _cut(call, component, np.split(component, [at], dim), dim)
                component = component.take(index, dim)
        components.append(component)
    return Value(call.shape, tuple(components))


def _cut(call: Call, component: Component, parts: Sequence[Component], dim: int) -> None:
    """Let parts of different sizes shrink independently, or as multiples of the smallest if it divides all."""
    piece = min(part.shape[dim] for part in parts)
    even = all(part.shape[dim] % piece == 0 for part in parts)
    call.space.cut(parts, np.stack(np.split(component, component.shape[dim] // piece, dim)) if even else None)


def select(call: Call) -> Value:
    """Take one position of a dimension and drop the dimension."""
    value = call.value("self")
    dim, position = int(call["dim"]) % len(value.shape), int(call["index"])
    call.whole(value, [dim], Kind.CONSTANT_POSITIONS)
    return Value(call.shape, tuple(squeeze_fixed(_at(component, dim, position)) for component in value.components))


def _at(component: Component, dim: int, position: int) -> Component:
    """Return the labels at one position of a dimension. A dimension without labels has only one position."""
    return np.asarray(component.take(position if component.shape[dim] > 1 else 0, dim))


def unbind(call: Call) -> list[Value]:
    """Take every position of a dimension and drop the dimension."""
    value = call.value("self")
    dim = int(call["dim"]) % len(value.shape)
    call.whole(value, [dim], Kind.CONSTANT_POSITIONS)
    return [
        Value(shape, tuple(_at(component, dim, position) for component in value.components))
        for position, shape in enumerate(call.shapes)
    ]


def split(call: Call) -> list[Value]:
    """Cut a dimension into parts. Equal parts keep the same number of channels."""
    value = call.value("self")
    rank = len(value.shape)
    dim = int(call.arguments.get("dim", {"hsplit": min(1, rank - 1), "dsplit": 2}.get(call.name, 0))) % rank
    sizes = [shape[dim] for shape in call.shapes]
    results: list[list[Component]] = [[] for _ in sizes]
    for component in value.components:
        if component.shape[dim] == 1:
            parts = [component] * len(sizes)
        else:
            parts = np.split(component, np.cumsum(sizes)[:-1], dim)
            _tie_parts(call, component, parts, dim)
        for result, part in zip(results, parts, strict=True):
            result.append(part)
    return [Value(shape, tuple(result)) for shape, result in zip(call.shapes, results, strict=True)]


def _tie_parts(call: Call, component: Component, parts: Sequence[Component], dim: int) -> None:
    sizes = {part.shape[dim] for part in parts}
    by_sizes = call.name == "split_with_sizes" and not call.stored("self")
    if len(sizes) == 1:
        call.space.keep_rectangular(np.stack(parts))
    elif by_sizes and min(sizes) and len(wide(component)) == 1:
        _cut(call, component, parts, dim)
    else:
        call.space.freeze(component, call.reason(Kind.UNEQUAL_PARTS))


def index(call: Call) -> Value:
    """Index with tensors. Indexed channels are kept, because the indices are constants."""
    taken, _, _ = _taken(call, Kind.CONSTANT_POSITIONS)
    return Value(call.shape, taken)


def _taken(call: Call, kind: Kind) -> tuple[tuple[Component, ...], list[int], list[int]]:
    """Return the labels of indexed elements, the indexed dimensions, and the result's dimensions of indices."""
    value, indices = call.value("self"), call["indices"]
    indexed = [dim for dim, item in enumerate(indices) if item is not None]
    rank = max(len(call.shape_of(indices[dim])) for dim in indexed)
    at = indexed[0] if indexed == list(range(indexed[0], indexed[-1] + 1)) else 0
    components = []
    for component in call.whole(value, indexed, kind).components:
        rest = [size for dim, size in enumerate(component.shape) if dim not in indexed]
        components.append(component.reshape([*rest[:at], *([1] * rank), *rest[at:]]))
    return tuple(components), indexed, list(range(at, at + rank))


def index_put(call: Call) -> Value:
    """Put elements at positions that tensors give. The dimensions without positions are unified."""
    value = call.value("self")
    masks = [node for node in call["indices"] if node is not None and node.meta["val"].dtype == torch.bool]
    if masks:
        if prod(call.shape_of("values")) == 1 and call.shape_of(masks[0]) == call.shape:
            return unify(call, [call["self"], *masks], call.shape)
        for node in (call["self"], call["values"], *masks):
            call.freeze(call.value(node), Kind.PUT_AT_POSITIONS)
        return Value(call.shape)
    taken, indexed, places = _taken(call, Kind.PUT_AT_POSITIONS)
    shape = [size for dim, size in enumerate(value.shape) if dim not in indexed]
    shape[places[0] : places[0]] = np.broadcast_shapes(*(call.shape_of(call["indices"][dim]) for dim in indexed))
    put = call.whole(call.value("values").aligned(len(shape)), places, Kind.PUT_AT_POSITIONS)
    put = Value(tuple(1 if dim in places else size for dim, size in enumerate(put.shape)), put.components)
    shape = [1 if dim in places else size for dim, size in enumerate(shape)]
    components = unify(call, [], shape, [Value(tuple(shape), taken), put]).components
    back = (np.expand_dims(component.squeeze(tuple(places)), tuple(indexed)) for component in components)
    return Value(call.shape, tuple(back))


def masked_scatter(call: Call) -> Value:
    """Put rows of another tensor at positions of a mask, as image features between the embeddings of words.

    A mask of size one along the last dimension takes whole rows, so that channels meet channels of the same number.
    """
    mask, source = call["mask"], call.shape_of("source")
    while operation_name(mask) in ("expand", "expand_as", "to") and mask.meta["val"].shape[-1] > 1:
        mask = mask.all_input_nodes[0]
    if mask.meta["val"].shape[-1] > 1 or source[-1] != call.shape[-1]:
        for name in ("self", "source"):
            call.freeze(call.value(name), Kind.PUT_AT_POSITIONS)
        return Value(call.shape)
    rows = [
        call.whole(value, range(len(value.shape) - 1), Kind.PUT_AT_POSITIONS)
        for value in map(call.value, ("self", "source"))
    ]
    last = (*(1 for _ in call.shape[1:]), call.shape[-1])
    rows = [Value(last[-len(row.shape) :], row.components).aligned(len(last)) for row in rows]
    return Value(call.shape, unify(call, [], last, rows).components)


def index_select(call: Call) -> Value:
    """Take constant positions of one dimension."""
    value = call.value("self")
    call.freeze(value, Kind.CONSTANT_POSITIONS, [call["dim"]])
    dim = int(call["dim"]) % len(value.shape)
    return Value(call.shape, tuple(component for component in value.components if component.shape[dim] == 1))


RULES: dict[str, Rule] = {
    **dict.fromkeys(["chunk", "split", "split_with_sizes", "tensor_split", "hsplit", "vsplit", "dsplit"], split),
    "slice": slices,
    "narrow": narrow,
    "select": select,
    "unbind": unbind,
    "index": index,
    "index_select": index_select,
    "index_put": index_put,
    "masked_scatter": masked_scatter,
}
