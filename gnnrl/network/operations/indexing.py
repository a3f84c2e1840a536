"""Operations that take positions of a dimension: ranges, parts, single positions, positions given by a tensor."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gnnrl.network.labels import Component, Value, squeeze_fixed
from gnnrl.network.operations.call import Call, Rule


def slices(call: Call) -> Value:
    """Take a range of one dimension."""
    value = call.value("self")
    dim = int(call["dim"]) % len(value.shape)
    index = np.arange(value.shape[dim])[slice(call["start"], call["end"], call["step"])]
    return take(call, value, dim, index)


def take(call: Call, value: Value, dim: int, index: Any) -> Value:
    """Labels of the given positions of one dimension."""
    whole = len(index) == value.shape[dim] and (np.asarray(index) == np.arange(len(index))).all()
    components = []
    for component in value.components:
        if component.shape[dim] == 1 or whole:
            components.append(component)
        else:
            call.space.freeze(component, call.reason(f"{call.name} takes channels by constant positions"))
            components.append(component.take(index, dim))
    return Value(call.shape, tuple(components))


def select(call: Call) -> Value:
    """Take one position of a dimension and drop the dimension."""
    value = call.value("self")
    dim, index = int(call["dim"]) % len(value.shape), int(call["index"])
    _keep_length(call, value, dim)
    return Value(call.shape, tuple(squeeze_fixed(_at(component, dim, index)) for component in value.components))


def _keep_length(call: Call, value: Value, dim: int) -> None:
    """Keep all positions of a dimension that the program counts: what goes, goes at every one of them."""
    for component in value.varying(dim):
        if sum(size > 1 for size in component.shape) > 1:
            call.space.tie(component, component.take([0], dim))
        else:
            call.space.freeze(component, call.reason(f"{call.name} takes channels by constant positions"))


def _at(component: Component, dim: int, position: int) -> Component:
    """Labels of one position of a dimension; a dimension without labels has only one."""
    return np.asarray(component.take(position if component.shape[dim] > 1 else 0, dim))


def unbind(call: Call) -> list[Value]:
    """Take every position of a dimension and drop the dimension."""
    value = call.value("self")
    dim = int(call["dim"]) % len(value.shape)
    _keep_length(call, value, dim)
    return [
        Value(shape, tuple(_at(component, dim, position) for component in value.components))
        for position, shape in enumerate(call.shapes)
    ]


def split(call: Call) -> list[Value]:
    """Cut a dimension into parts; equal parts, and multiples of one part, keep equally many channels."""
    value = call.value("self")
    dim = int(call["dim"]) % len(value.shape)
    sizes = [shape[dim] for shape in call.shapes]
    results: list[list[Component]] = [[] for _ in sizes]
    for component in value.components:
        if component.shape[dim] == 1:
            parts = [component] * len(sizes)
        else:
            parts = np.split(component, np.cumsum(sizes)[:-1], dim)
            _tie_parts(call, component, parts, sizes)
        for result, part in zip(results, parts, strict=True):
            result.append(part)
    return [Value(shape, tuple(result)) for shape, result in zip(call.shapes, results, strict=True)]


def _tie_parts(call: Call, component: Component, parts: Sequence[Component], sizes: Sequence[int]) -> None:
    equal = min(sizes)
    if equal and all(size % equal == 0 for size in sizes):
        dim = next(d for d, size in enumerate(parts[0].shape) if size != component.shape[d])
        call.space.keep_rectangular(np.stack(np.split(component, component.shape[dim] // equal, dim)))
    else:
        call.space.freeze(component, call.reason(f"{call.name} cuts channels into parts of unequal, constant sizes"))


def index(call: Call) -> Value:
    """Index with tensors: along fixed dimensions only, channels indexed by constants stay."""
    value, indices = call.value("self"), call["indices"]
    indexed = [dim for dim, item in enumerate(indices) if item is not None]
    call.freeze(value, "indexes channels by constant positions", indexed)
    rank = max(len(call.shape_of(indices[dim])) for dim in indexed)
    adjacent = indexed == list(range(indexed[0], indexed[-1] + 1))
    components = []
    for component in value.components:
        if any(component.shape[dim] > 1 for dim in indexed):
            continue
        rest = [size for dim, size in enumerate(component.shape) if dim not in indexed]
        at = indexed[0] if adjacent else 0
        components.append(component.reshape([*rest[:at], *([1] * rank), *rest[at:]]))
    return Value(call.shape, tuple(components))


def index_select(call: Call) -> Value:
    """Take constant positions of one dimension."""
    value = call.value("self")
    call.freeze(value, "takes channels by constant positions", [call["dim"]])
    dim = int(call["dim"]) % len(value.shape)
    return Value(call.shape, tuple(component for component in value.components if component.shape[dim] == 1))


RULES: dict[str, Rule] = {
    **dict.fromkeys(["chunk", "split", "split_with_sizes", "tensor_split"], split),
    "slice": slices,
    "select": select,
    "unbind": unbind,
    "index": index,
    "index_select": index_select,
}
