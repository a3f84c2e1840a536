"""Operations that move elements without changing them: rules move the labels in the same way."""

from collections.abc import Sequence
from math import prod

import numpy as np
from torch import Tensor, fx

from gnnrl.network.labelling.operations.call import Call, Rule, merged, passed, repeated, vector
from gnnrl.network.labelling.operations.pointwise import unify
from gnnrl.network.labels import Component, Value, squeeze_fixed, wide
from gnnrl.network.reasons import Kind


def view(call: Call) -> Value:
    """Merge and split dimensions. A fixed dimension that is merged with labels repeats them.

    If a weight becomes a matrix, as for its spectral norm, its kernel is kept.
    """
    value = call.value("self", (0, 1) if len(call.shape) == 2 else None)
    components = tuple(reshape(component, value.shape, call.shape) for component in value.components)
    for before, after in zip(value.components, components, strict=True):
        if len(wide(after)) > len(wide(before)):
            call.space.keep_rectangular(after, _open_dim(call, after))
    return Value(call.shape, components)


def _open_dim(call: Call, component: Component) -> int | None:
    """Return the dimension whose size the program leaves open (-1), if labels vary along it."""
    sizes = list(call.arguments.get("sizes", call.arguments.get("size", call.arguments.get("shape"))) or ())
    if -1 not in sizes:
        return None
    dim = sizes.index(-1) + (int(call["dim"]) % len(call.shape_of("self")) if "sizes" in call.arguments else 0)
    return dim if component.shape[dim] > 1 else None


def reshape(component: Component, shape: Sequence[int], target: Sequence[int]) -> Component:
    """Return the labels of a tensor of `shape` that was reshaped to `target`."""
    spread: list[int] = []
    result: list[int] = []
    for source, goal in _blocks(shape, target):
        varies = any(component.shape[dim] > 1 for dim in source)
        spread += [shape[dim] if varies else 1 for dim in source]
        result += [target[dim] if varies else 1 for dim in goal]
    return squeeze_fixed(np.broadcast_to(component, spread).reshape(result))


def _blocks(shape: Sequence[int], target: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Return the smallest runs of dimensions of both shapes with the same number of elements."""
    blocks: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(shape) or j < len(target):
        source, goal = ([i] if i < len(shape) else []), ([j] if j < len(target) else [])
        i, j = i + len(source), j + len(goal)
        a, b = prod(shape[d] for d in source), prod(target[d] for d in goal)
        while a != b:
            if a < b:
                source.append(i)
                a, i = a * shape[i], i + 1
            else:
                goal.append(j)
                b, j = b * target[j], j + 1
        blocks.append((source, goal))
    return blocks


def permute(call: Call) -> Value:
    """Reorder dimensions. If a weight then becomes a matrix, as for its spectral norm, its kernel is kept."""
    read_as = [user.meta.get("val") for user in call.node.users]
    is_matrix = len(call.shape) > 2 and all(isinstance(value, Tensor) and value.ndim == 2 for value in read_as)
    value = call.value("self", (0, 1) if is_matrix else None)
    order = [dim % len(value.shape) for dim in call["dims"]]
    return Value(call.shape, tuple(component.transpose(order) for component in value.components))


def transpose(call: Call) -> Value:
    """Swap two dimensions."""
    value = call.value("self")
    if call.name in ("t", "numpy_T", "mT"):
        a, b = -2, -1
        if len(value.shape) < 2:
            return value
    else:
        a, b = [call.arguments[name] for name in call.arguments if name != "self"][:2]
    return Value(call.shape, tuple(component.swapaxes(a, b) for component in value.components))


def movedim(call: Call) -> Value:
    """Move dimensions to other positions."""
    value = call.value("self")
    components = (np.moveaxis(component, call["source"], call["destination"]) for component in value.components)
    return Value(call.shape, tuple(components))


def unsqueeze(call: Call) -> Value:
    """Insert or drop a dimension of size one."""
    value = call.value("self")
    return Value(call.shape, tuple(reshape(component, value.shape, call.shape) for component in value.components))


def expand(call: Call) -> Value:
    """Repeat dimensions of size one without copying. If another tensor gives the shape, its labels are taken over."""
    value = call.value("self").aligned(len(call.shape))
    others = call.value("other").components if call.has("other") else ()
    new = (component for component in others if all(value.shape[dim] == 1 for dim in wide(component)))
    return Value(call.shape, (*value.components, *new))


def repeat(call: Call) -> Value:
    """Copy a tensor several times along dimensions. The copies have the same labels."""
    value = call.value("self").aligned(len(call.shape))
    times: list[int] = call["repeats"] if "repeats" in call.arguments else call["dims"]
    counts = [*(1,) * (len(call.shape) - len(times)), *times]
    return Value(
        call.shape,
        tuple(np.tile(c, [n if dim in wide(c) else 1 for dim, n in enumerate(counts)]) for c in value.components),
    )


def concatenate(call: Call) -> Value:
    """Concatenate tensors along one dimension."""
    nodes: list[fx.Node] = call["tensors"]
    dim = int(call.arguments.get("dim", 0)) % len(call.shape)
    values = [call.value(node) for node in nodes]
    varying = [component for value in values for component in value.varying(dim)]
    filled = not any(value.labelled() - {dim} for value in values) and any(map(call.is_sizeless, nodes))
    if not filled and not varying:
        # Along a dimension of fixed size the other dimensions are unified.
        return unify(call, [node for node in nodes if prod(call.shape_of(node))], call.shape)
    if varying and all(component.size > component.shape[dim] for component in varying):
        return _stacked_rows(call, values, dim)
    # Stored tokens next to computed ones stay, because this dimension is not one of channels.
    tokens = any(not value.varying(dim) and not call.stored(node) for node, value in zip(nodes, values, strict=True))
    parts, rest = [], []
    for node, value in zip(nodes, values, strict=True):
        labels = call.along(value, dim)
        if labels is None or (tokens and call.stored(node)):
            labels = call.space.fresh(value.shape[dim]) if labels is None else labels
            if filled and call.is_sizeless(node):
                call.tensors.made.append(labels)
                call.adopt(node, vector(labels, dim, value.shape))
            else:
                call.space.freeze(labels, call.reason(Kind.FIXED_PART))
        parts.append(labels)
        kept = tuple(component for component in value.components if component.shape[dim] == 1)
        rest.append(Value(tuple(1 if d == dim else size for d, size in enumerate(value.shape)), kept))
    others = unify(call, [], rest[0].shape, rest).components
    return Value(call.shape, (*vector(np.concatenate(parts), dim, call.shape).components, *others))


def _stacked_rows(call: Call, values: Sequence[Value], dim: int) -> Value:
    """Concatenate parts of rows, such as of heads in a rotary embedding. Whole rows are removed."""
    shape = [1 if d == dim else size for d, size in enumerate(call.shape)]
    parts = [Value(tuple(shape), call.whole(value, [dim], Kind.OTHER_DIMENSIONS).components) for value in values]
    return passed(unify(call, [], shape, parts), call.shape)


def stack(call: Call) -> Value:
    """Stack tensors along a new dimension. The other dimensions are unified."""
    dim = int(call.arguments.get("dim", 0)) % len(call.shape)
    inner = [size for d, size in enumerate(call.shape) if d != dim]
    value = unify(call, call["tensors"], inner)
    return Value(call.shape, tuple(np.expand_dims(component, dim) for component in value.components))


def pad(call: Call) -> Value:
    """Pad dimensions. Padded channels are constant and frozen."""
    value = call.value("self")
    amounts = [(0, 0)] * len(value.shape)
    for position in range(len(call["pad"]) // 2):
        amounts[-1 - position] = tuple(call["pad"][2 * position : 2 * position + 2])
    components = []
    for component in value.components:
        for dim, (before, after) in enumerate(amounts):
            if component.shape[dim] == 1 or (before == after == 0):
                continue
            if min(before, after) < 0 or call.arguments.get("mode", "constant") not in (None, "constant"):
                call.space.freeze(component, call.reason(Kind.CROPPED))
                before, after = max(before, 0), max(after, 0)
            component = _padded(call, component, dim, before, after)
        components.append(component)
    if any(component.shape[dim] not in (1, size) for component in components for dim, size in enumerate(call.shape)):
        components = []
    return Value(call.shape, tuple(components))


def _padded(call: Call, component: Component, dim: int, before: int, after: int) -> Component:
    parts = []
    for amount in (before, after):
        shape = [amount if d == dim else size for d, size in enumerate(component.shape)]
        labels = call.space.fresh(prod(shape)).reshape(shape)
        call.space.freeze(labels, call.reason(Kind.PADDED))
        parts.append(labels)
    return np.concatenate([parts[0], component, parts[1]], dim)


def flip(call: Call) -> Value:
    """Reverse dimensions."""
    return Value(call.shape, tuple(np.flip(component, call["dims"]) for component in call.value("self").components))


def as_complex(call: Call) -> Value:
    """Read pairs along the last dimension as complex numbers."""
    kept = call.whole(call.value("self"), [-1], Kind.WORKED_ALONG).components
    return Value(call.shape, tuple(component[..., 0] for component in kept))


def as_real(call: Call) -> Value:
    """Read complex numbers as pairs along a new last dimension."""
    return Value(call.shape, tuple(component[..., None] for component in call.value("self").components))


def windows(call: Call) -> Value:
    """Slide a window over one dimension; its positions are a new last dimension."""
    kept = call.whole(call.value("self"), [call["dimension"]], Kind.WORKED_ALONG).components
    return Value(call.shape, tuple(component[..., None] for component in kept))


def roll(call: Call) -> Value:
    """Shift dimensions cyclically. Shifted channels are frozen, because the shift is a constant of the program."""
    value = call.value("self")
    call.freeze(value, Kind.SHIFTED, call["dims"] or range(len(value.shape)))
    return passed(value, call.shape)


def pixel_shuffle(call: Call) -> Value:
    """Move r x r channels into space: C = c * r * r, and blocks of r * r are removed as a whole."""
    return merged(call, call.value("self"), -3, int(call["upscale_factor"]) ** 2, -3)


def pixel_unshuffle(call: Call) -> Value:
    """Move r x r positions into channels. The label of each channel is repeated r * r times."""
    return repeated(call, call.value("self"), -3, int(call["downscale_factor"]) ** 2, -3)


RULES: dict[str, Rule] = {
    **dict.fromkeys(["view", "reshape", "flatten", "unflatten", "_unsafe_view", "reshape_as", "view_as"], view),
    **dict.fromkeys(["squeeze", "squeeze_", "unsqueeze", "unsqueeze_"], unsqueeze),
    **dict.fromkeys(["transpose", "transpose_", "swapaxes", "swapdims", "t", "numpy_T", "mT"], transpose),
    **dict.fromkeys(["expand", "expand_as", "broadcast_to"], expand),
    **dict.fromkeys(["repeat", "tile"], repeat),
    **dict.fromkeys(["cat", "concat", "concatenate"], concatenate),
    **dict.fromkeys(["pad", "constant_pad_nd"], pad),
    "permute": permute,
    "movedim": movedim,
    "stack": stack,
    "flip": flip,
    "roll": roll,
    "view_as_complex": as_complex,
    "view_as_real": as_real,
    "unfold": windows,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
}
