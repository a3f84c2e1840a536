"""Fused attention: heads are removed as a whole."""

from math import prod

from gnnrl.network.labelling.operations.call import Call, Rule
from gnnrl.network.labels import Component, Value
from gnnrl.network.reasons import Kind


def attention(call: Call) -> Value:
    """Compute attention [..., H, T, D]. Whole heads are removed or, without heads, channels of the values."""
    query, key, value = (call.value(name) for name in ("query", "key", "value"))
    heads = [_heads(call, item) for item in (query, key, value)]
    for labels, total in (
        (heads[0], prod(query.shape) * key.shape[-2]),
        (heads[2], prod(value.shape) * query.shape[-2]),
    ):
        extents = [] if labels is None else [labels]
        call.work(total // prod(component.size for component in extents), *extents)
    known = [labels for labels in heads if labels is not None]
    for labels in known[1:]:
        call.space.tie(known[0], labels)
    if len(known) < len(heads):
        for labels in known:
            call.space.freeze(labels, call.reason(Kind.FIXED_HEADS))
    if call.has("attn_mask") and len(call.shape_of("attn_mask")) > 2:
        _tie_mask(call, known)
    return Value(call.shape, () if heads[2] is None else (heads[2],))


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
    """Return the labels of the heads [.., H, 1, 1], and tie labels inside a head to it. Others, of tokens, stay."""
    found = None
    for component in value.components:
        if len(component.shape) > 3 and max(component.shape[1:-2]) > 1:
            found = call.space.pin(component, (-2, -1))
        else:
            call.space.freeze(component, call.reason(Kind.HEAD_SCALE))
    return found


RULES: dict[str, Rule] = {"scaled_dot_product_attention": attention}
