"""Products of two computed tensors: matrix products and attention. Heads are removed as a whole."""

from math import prod
from string import ascii_lowercase

from torch import fx

from gnnrl.network.labelling.operations.call import Call, Rule
from gnnrl.network.labelling.operations.pointwise import merge
from gnnrl.network.labelling.operations.products import multiply
from gnnrl.network.labels import Component, Value
from gnnrl.network.reasons import Kind


def matmul(call: Call) -> Value:
    """Multiply [..., M, K] by [..., K, N]. K is tied, and the batch dimensions are unified."""
    first, second = list(call.arguments)[:2]
    a, b = call.value(first), call.value(second)
    if len(a.shape) < 2 or len(b.shape) < 2:
        return _by_vector(call, len(a.shape), len(b.shape))
    _state_work(call, a, b)
    # Tie K of the left to K of the right operand.
    left = [_contract(call, _batched(c, a, call), -1) for c in a.components if c.shape[-1] > 1]
    right = [_contract(call, _batched(c, b, call), -2) for c in b.components if c.shape[-2] > 1]
    for x in left:
        for y in right:
            call.space.tie(x, y.swapaxes(-1, -2) if y.shape[-2] > 1 else y)
    # Freeze K if only one operand has labels there, or if removed channels add to the sum.
    for component in (*left, *right):
        if bool(left) != bool(right):
            call.space.freeze(component, call.reason(Kind.FIXED_OPERAND))
        elif max(component.shape[-2:]) > 1 and not (call.vanishes(first) or call.vanishes(second)):
            call.space.freeze(component, call.reason(Kind.COUNTED))
    # Keep the labels of M, N and the batch dimensions.
    kept = [_batched(c, a, call) for c in a.components if c.shape[-1] == 1]
    kept += [_batched(c, b, call) for c in b.components if c.shape[-2] == 1]
    return _unified(call, [*kept, *(_dropped(x) for x in (*left, *right))])


def _by_vector(call: Call, first: int, second: int) -> Value:
    """Multiply a matrix by a vector from the left or right, or two vectors."""
    rows, columns = ascii_lowercase[: max(first - 1, 0)], ascii_lowercase[: max(second - 2, 0)]
    terms = [f"{rows}z", "z" if second == 1 else f"{columns}zy"]
    nodes = [value for value in call.arguments.values() if isinstance(value, fx.Node)]
    return multiply(call, nodes, terms, f"{rows}{columns}{'' if second == 1 else 'y'}", counted=False)


def _state_work(call: Call, a: Value, b: Value) -> None:
    """State the MACs: M x K x N for every matrix. A labelled dimension that both operands share counts once."""
    rank = len(call.shape)
    extents: list[tuple[Component, set[object]]] = []
    for value, names in ((a, ("M", "K")), (b, ("K", "N"))):
        axes: list[object] = [*range(rank - len(value.shape), rank - 2), *names]
        extents += [
            (component, {axis for axis, size in zip(axes, component.shape, strict=True) if size > 1})
            for component in value.components
        ]
    extents.sort(key=lambda extent: -extent[0].size)
    chosen: list[Component] = []
    seen: set[object] = set()
    for component, axes_of in extents:
        if not axes_of & seen:
            chosen.append(component)
            seen |= axes_of
    total = prod(call.shape) * a.shape[-1]
    call.work(total // prod(component.size for component in chosen), *chosen)


def _batched(component: Component, value: Value, call: Call) -> Component:
    pad = (1,) * (len(call.shape) - len(value.shape))
    return component.reshape(pad + component.shape)


def _contract(call: Call, component: Component, dim: int) -> Component:
    """Tie a contracted dimension if its labels vary with the head, too: it is removed together with the head."""
    if sum(size > 1 for size in component.shape) > 1:
        call.space.tie(component, component.take([0], dim))
        return component.take([0], dim)
    return component


def _dropped(component: Component) -> Component:
    """Return the labels of the heads of a contracted tensor, without the matrix dimensions."""
    for dim in (-1, -2):
        component = component.take([0], dim)
    return component


def _unified(call: Call, components: list[Component]) -> Value:
    merged: list[Component] = []
    for component in components:
        if any(size > 1 for size in component.shape):
            merged = merge(call, merged, component)
    return Value(call.shape, tuple(merged))


def attention(call: Call) -> Value:
    """Compute attention [..., H, T, D]. Whole heads are removed or, without heads, channels of the values."""
    query, key, value = (call.value(name) for name in ("query", "key", "value"))
    heads = [_heads(call, item) for item in (query, key, value)]
    for item, total in ((query, prod(query.shape) * key.shape[-2]), (value, prod(value.shape) * query.shape[-2])):
        extents = item.components[:1]
        call.work(total // prod(component.size for component in extents), *extents)
    known = [labels for labels in heads if labels is not None]
    for labels in known[1:]:
        call.space.tie(known[0], labels)
    if len(known) < len(heads):
        for labels in known:
            call.space.freeze(labels, call.reason(Kind.FIXED_HEADS))
    if call.has("attn_mask") and len(call.shape_of("attn_mask")) > 2:
        _tie_mask(call, known)
    return Value(call.shape, tuple(value.components))


def _tie_mask(call: Call, heads: list[Component]) -> None:
    """Tie a mask or bias [.., H, T, S] of the scores with the heads. A mask [.., 1, T, S] is not changed."""
    mask = call.value("attn_mask", (-3,) if heads else ())
    call.freeze(mask, Kind.FIXED_MASK, [dim for dim in range(len(mask.shape)) if dim != len(mask.shape) - 3])
    labels = call.along(mask, -3)
    for component in heads if mask.shape[-3] > 1 else ():
        call.tie(labels, component.ravel() if component.size == mask.shape[-3] else None, Kind.FIXED_MASK)
    if labels is not None and not heads:
        call.space.freeze(labels, call.reason(Kind.FIXED_HEADS))


def _heads(call: Call, value: Value) -> Component | None:
    """Return the labels of the heads [.., H, 1, 1], and tie labels inside a head to it."""
    found = None
    for component in value.components:
        if len(component.shape) > 3 and component.shape[-3] > 1:
            found = component[..., :1, :1]
            call.space.tie(component, found)
        else:
            call.space.freeze(component, call.reason(Kind.HEAD_SCALE))
    return found


RULES: dict[str, Rule] = {**dict.fromkeys(["matmul", "bmm", "mm"], matmul), "scaled_dot_product_attention": attention}
