"""Operations that work along given dimensions only: cumulative sums, sorting, Fourier transforms, patches."""

from collections.abc import Sequence
from math import prod

import numpy as np
from torch import fx

from gnnrl.network.labelling.operations.call import Call, Rule, merged, passed, repeated
from gnnrl.network.labelling.operations.pointwise import unify
from gnnrl.network.labelling.operations.shapes import reshape
from gnnrl.network.labels import Component, Value, wide
from gnnrl.network.reasons import Kind


def along(call: Call) -> Value | list[Value]:
    """Keep all channels along which the operation works, and the labels of all other dimensions."""
    value = call.value("self")
    dims = call.arguments.get("dim", call.arguments.get("dims"))
    if call.name in ("tril", "triu"):
        dims = [-2, -1]
    rank = len(value.shape)
    worked = sorted(
        {dim % rank for dim in (range(rank) if dims is None else [dims] if isinstance(dims, int) else dims)}
    )
    kept = call.whole(value, worked, Kind.WORKED_ALONG).components
    if call.arguments.get("keepdim", True) is False:
        kept = tuple(component.squeeze(tuple(worked)) for component in kept)
    return call.results(kept)


def gather(call: Call) -> Value:
    """Take positions along one dimension that another tensor gives. The other dimensions are unified."""
    nodes = [call["self"], call.arguments.get("index") or call["indices"]]
    return _positions(call, nodes, Kind.WORKED_ALONG)


def _positions(call: Call, nodes: Sequence[fx.Node], kind: Kind) -> Value:
    """Unify all dimensions but one, along which all positions are kept."""
    dim = int(call["dim"]) % len(call.shape)
    for node in nodes:
        call.whole(call.value(node), [dim], kind)
    components = unify(call, nodes, call.shape).components
    return Value(call.shape, tuple(component.take([0], dim) for component in components if wide(component) != {dim}))


def scatter(call: Call) -> Value:
    """Put or add elements at positions along one dimension. The other dimensions are unified."""
    rank = len(call.shape)
    nodes = [node for node in call.node.all_input_nodes if "val" in node.meta and len(call.shape_of(node)) == rank]
    return _positions(call, nodes, Kind.PUT_AT_POSITIONS)


def diagonal(call: Call) -> Value:
    """Take the diagonal of two dimensions, which becomes the last dimension."""
    value = call.value("self")
    rank = len(value.shape)
    dims = (int(call["dim1"]) % rank, int(call["dim2"]) % rank)
    kept = call.whole(value, dims, Kind.WORKED_ALONG).components
    return Value(call.shape, tuple(np.squeeze(component, dims)[..., None] for component in kept))


def cosine_similarity(call: Call) -> Value:
    """Sum products over one dimension, to which a channel of zeros adds nothing."""
    nodes = [call["x1"], call["x2"]]
    shape = np.broadcast_shapes(*(call.shape_of(node) for node in nodes))
    value, dim = unify(call, nodes, shape), int(call["dim"]) % len(shape)
    kept: list[Component] = []
    for component in value.components:
        if component.shape[dim] == 1:
            kept.append(np.squeeze(component, dim))
        elif not all(call.vanishes(node) for node in nodes) or component.size > component.shape[dim]:
            call.space.freeze(component, call.reason(Kind.COUNTED))
    return Value(call.shape, tuple(kept))


def repeat_interleave(call: Call) -> Value:
    """Repeat every position of a dimension. The copies have the same label."""
    value, dim = call.value("self"), call["dim"]
    if dim is None or not isinstance(call["repeats"], int):
        call.freeze(value, Kind.REPEATED)
        return Value(call.shape)
    return Value(
        call.shape, tuple(c if c.shape[dim] == 1 else np.repeat(c, call["repeats"], dim) for c in value.components)
    )


def unfold(call: Call) -> Value:
    """Put patches of k positions into channels [N, C k, L]: each channel is repeated k times."""
    return repeated(call, call.value("self"), -3, prod(call["kernel_size"]), -2)


def fold(call: Call) -> Value:
    """Put channels [N, C k, L] back into patches of k positions, which are removed as a whole."""
    return merged(call, call.value("self"), -2, prod(call["kernel_size"]), -3)


def channel_shuffle(call: Call) -> Value:
    """Write the channels [groups, C / groups] column by column. All groups keep the same number of channels."""
    value, groups = call.value("self"), int(call["groups"])
    components = []
    for component in value.components:
        if component.shape[1] > 1:
            parts = reshape(component, value.shape, _split(value.shape, groups))
            call.space.keep_rectangular(parts)
            swapped = _split(value.shape, value.shape[1] // groups)
            component = reshape(parts.swapaxes(1, 2), swapped, value.shape)
        components.append(component)
    return passed(Value(value.shape, tuple(components)), call.shape)


def _split(shape: Sequence[int], groups: int) -> tuple[int, ...]:
    return (shape[0], groups, shape[1] // groups, *shape[2:])


RULES: dict[str, Rule] = {
    **dict.fromkeys(["cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "sort", "argsort", "topk"], along),
    **dict.fromkeys(["argmax", "argmin", "kthvalue", "median", "tril", "triu"], along),
    **dict.fromkeys([f"fft_{kind}" for kind in ("fft", "ifft", "rfft", "irfft", "fft2", "ifft2")], along),
    **dict.fromkeys([f"fft_{kind}" for kind in ("rfft2", "irfft2", "fftn", "ifftn", "fftshift", "ifftshift")], along),
    **dict.fromkeys([f"fft_{kind}" for kind in ("rfftn", "irfftn", "hfft", "ihfft")], along),
    **dict.fromkeys(["diff", "rot90"], along),
    **dict.fromkeys(["gather", "take_along_dim"], gather),
    "diagonal": diagonal,
    **dict.fromkeys(["scatter", "scatter_add", "index_add", "index_copy", "index_fill"], scatter),
    "cosine_similarity": cosine_similarity,
    "repeat_interleave": repeat_interleave,
    "im2col": unfold,
    "col2im": fold,
    "channel_shuffle": channel_shuffle,
}
