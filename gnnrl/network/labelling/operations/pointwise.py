"""Element-wise operations: the labels of the operands are unified position by position."""

from collections.abc import Sequence
from math import prod

import numpy as np
from torch import fx

from gnnrl.network.labelling.operations.call import Call, Rule, passed, vector
from gnnrl.network.labels import Component, Value, wide
from gnnrl.network.reasons import Kind


def same(call: Call) -> Value:
    """Keep the labels, because each element of the output depends on the input's element at its position."""
    first = next(name for name in call.arguments if call.has(name))
    return passed(call.value(first), call.shape)


def made(call: Call) -> Value:
    """Make a tensor of a fixed size. Only the type and device of the argument are read."""
    return Value(call.shape)


def elementwise(call: Call) -> Value:
    """Unify the labels of all tensor operands, with broadcasting."""
    nodes = [value for value in call.arguments.values() if isinstance(value, fx.Node) and "val" in value.meta]
    return unify(call, nodes, call.shape)


def gate(call: Call) -> Value:
    """Multiply one half of a dimension by the sigmoid of the other half. The halves are tied."""
    value, dim = call.value("self"), int(call["dim"]) % len(call.shape)
    halves = []
    for component in value.components:
        if component.shape[dim] > 1:
            component, other = np.split(component, 2, dim)
            call.space.tie(component, other)
        halves.append(component)
    return Value(call.shape, tuple(halves))


def unify(call: Call, nodes: Sequence[fx.Node], shape: Sequence[int], others: Sequence[Value] = ()) -> Value:
    """Tie the labels of tensors (and of `others`) broadcast to one shape. A fixed size freezes the others' labels.

    A tensor that is filled with one number has no size of its own: it takes over the others', or gets new labels.

    If a component varies along several dimensions, as heads and their channels do, and a stored tensor has a size along
    the last one, as the angles of a rotary embedding have, then that dimension is kept: whole heads are removed.
    """
    rank = len(shape)
    sizeless = [node for node in nodes if call.is_sizeless(node)]
    filled = sizeless if len(sizeless) < len(nodes) else []
    nodes = [node for node in nodes if node not in filled]
    computed = [node for node in nodes if call.parameter(node) is None]
    known = [value.aligned(rank) for value in (*others, *map(call.value, computed))]
    # Find the last dimensions of components that vary along several, and freeze stored tensors along them.
    rows = [dims for value in known for dims in map(wide, value.components) if len(dims) > 1]
    inner = {max(dims) for dims in rows}
    for number, node in enumerate(computed, len(others)):
        if inner and call.stored(node):
            call.freeze(known[number], Kind.FIXED_OPERAND, sorted(inner))
            kept = [component for component in known[number].components if not inner & wide(component)]
            known[number] = Value(known[number].shape, tuple(kept))
    # Label parameters along the dimensions with labels; if all other operands are scalars, along all dimensions.
    labelled = set().union(*(value.labelled() for value in known))
    if all(prod(value.shape) == 1 for value in known):
        labelled = set(range(rank))
    for node in nodes:
        if call.parameter(node) is not None:
            offset = rank - len(call.shape_of(node))
            dims = [dim - offset for dim in sorted(labelled - inner) if dim >= offset]
            known.append(call.value(node, dims).aligned(rank))
    # Freeze labels that meet a fixed size in another operand, and tie all others.
    fixed = [{dim for other in known if other is not value for dim in _fixed(other)} for value in known]
    known = [
        call.whole(value, dims & value.labelled(), Kind.FIXED_OPERAND) for value, dims in zip(known, fixed, strict=True)
    ]
    merged: list[Component] = []
    for value in known:
        for component in value.components:
            merged = merge(call, merged, component)
    result = (
        Value(tuple(shape), (*merged, *_made(call, known, shape))) if filled else Value(tuple(shape), tuple(merged))
    )
    for node in filled:
        call.adopt(node, result)
    return result


def _made(call: Call, known: Sequence[Value], shape: Sequence[int]) -> list[Component]:
    """Return new labels for the dimensions that only tensors filled with one number have."""
    sizes = {dim for value in known for dim, size in enumerate(value.shape) if size > 1}
    missing = [dim for dim, size in enumerate(shape) if size > 1 and dim not in sizes]
    labels = {dim: call.space.fresh(shape[dim]) for dim in missing}
    call.tensors.made += labels.values()
    return [component for dim in missing for component in vector(labels[dim], dim, shape).components]


def _fixed(value: Value) -> set[int]:
    """Return the dimensions along which an operand has a fixed size above one."""
    return {dim for dim, size in enumerate(value.shape) if size > 1 and not value.varying(dim)}


def merge(call: Call, merged: list[Component], component: Component) -> list[Component]:
    """Add a component to a list, and tie it to those that vary along the same dimensions."""
    kept = []
    for other in merged:
        if wide(component) & wide(other):
            call.space.tie(component, other)
            component = np.broadcast_arrays(other, component)[0]
        else:
            kept.append(other)
    return [*kept, component]


_SAME = """
    relu relu6 gelu silu hardtanh hardswish hardsigmoid sigmoid tanh leaky_relu elu selu celu softplus mish logsigmoid
    hardshrink softshrink tanhshrink threshold rrelu exp expm1 log log1p log2 sqrt rsqrt abs neg sign square reciprocal
    sin cos erf ceil floor round clamp clamp_min clamp_max dropout feature_dropout alpha_dropout contiguous clone alias
    detach to _to_copy type_as float half pow nan_to_num isnan isfinite logical_not bitwise_not zeros_like ones_like
    full_like fill zero lift_fresh_copy positive trunc frac real imag conj angle log_sigmoid bucketize bitwise_not
    randn_like rand_like bernoulli fake_quantize_per_tensor_affine
"""
_ELEMENTWISE = """
    add sub mul div maximum minimum atan2 eq ne lt le gt ge where lerp addcmul addcdiv masked_fill logical_and
    logical_or logical_xor rsub true_divide floor_divide remainder fmod fmax fmin complex polar copy hypot xlogy
    __and__ __or__ __xor__ bitwise_and bitwise_or bitwise_xor heaviside logaddexp copysign
"""
RULES: dict[str, Rule] = {
    **dict.fromkeys(_SAME.split(), same),
    **dict.fromkeys(_ELEMENTWISE.split(), elementwise),
    **dict.fromkeys(["new_zeros", "new_ones", "new_full", "new_empty"], made),
    "glu": gate,
}
