"""Operations that summarise positions: pooling, interpolation and reductions."""

from collections.abc import Sequence

from torch import fx

from gnnrl.network.labelling.operations import pointwise
from gnnrl.network.labelling.operations.call import Call, Rule, operation_name
from gnnrl.network.labelling.operations.pointwise import unify
from gnnrl.network.labels import Component, Value, wide
from gnnrl.network.reasons import Kind

AVERAGES = {"mean", "var", "std", "var_mean", "std_mean"}
_ELEMENTWISE = {*pointwise.RULES, "unsqueeze", "view", "reshape", "expand", "expand_as", "getitem"}


def pool(call: Call) -> Value | list[Value]:
    """Pool or resize the spatial dimensions, and keep the labels of the channels."""
    value = call.value(next(iter(call.arguments)))
    rank = len(value.shape)
    space = range(rank - next((int(letter) for letter in call.name if letter.isdigit()), 2), rank)
    kept = call.whole(value, space, Kind.TAKEN_OVER).components
    results = [Value(shape, kept) for shape in call.shapes]
    return results if isinstance(call.node.meta["val"], list | tuple) else results[0]


def unpool(call: Call) -> Value:
    """Put pooled elements back to the positions that they were taken from, in each channel."""
    nodes = [call["self"], call["indices"]]
    space = range(2, len(call.shape))
    for node in nodes:
        call.whole(call.value(node), space, Kind.TAKEN_OVER)
    components = unify(call, nodes, call.shape_of(nodes[0])).components
    return Value(call.shape, tuple(component for component in components if wide(component).isdisjoint(space)))


def regions(call: Call) -> Value:
    """Pool regions [K, 5] of images [N, C, H, W]."""
    kept = call.whole(call.value("input"), (0, 2, 3), Kind.TAKEN_OVER).components
    return Value(call.shape, kept)


def extreme(call: Call) -> Value | list[Value]:
    """Reduce dimensions, or choose the larger or smaller of two tensors, element by element."""
    return pointwise.elementwise(call) if call.has("other") else reduction(call)


def reduction(call: Call) -> Value | list[Value]:
    """Reduce dimensions. Sums and lengths allow any number of channels, every other reduction needs a fixed number.

    Averages allow any number, too, if they normalise the channels that they are taken over (LayerNorm and RMSNorm that
    are written by hand). They do not include removed channels.
    """
    value = call.value(next(iter(call.arguments)))
    dims = call.arguments.get("dim")
    if dims is None or dims == []:
        dims = range(len(value.shape))
    reduced = {dim % len(value.shape) for dim in ([dims] if isinstance(dims, int) else dims)}
    if call.name != "sum" and not _is_length(call) and not is_average(call):
        value = call.whole(value, reduced, Kind.TAKEN_OVER)
    return call.results(_reduced(call, value, reduced))


def is_average(call: Call) -> bool:
    """Return whether a call averages channels, or measures their length, and the result only normalises them."""
    is_one = call.name in AVERAGES or call.name == "sum" or _is_length(call)
    return is_one and _normalises(call.node, call.shape_of(next(iter(call.arguments))))


def _is_length(call: Call) -> bool:
    """Return whether the call is a norm to which zeros add nothing."""
    order = call.arguments.get("ord", call.arguments.get("p")) if "norm" in call.name else None
    return isinstance(order, int | float) and order > 0


def _normalises(node: fx.Node, shape: tuple[int, ...]) -> bool:
    """Return whether a result is only combined, element by element, with a tensor of the shape that it came from."""
    for user in node.users:
        if operation_name(user).removesuffix("_") not in _ELEMENTWISE or "val" not in user.meta:
            return False
        result = user.meta["val"]
        if tuple(getattr(result, "shape", ())) != shape and not _normalises(user, shape):
            return False
    return bool(node.users)


def _reduced(call: Call, value: Value, reduced: set[int]) -> tuple[Component, ...]:
    kept = []
    for component in value.components:
        wide = [dim for dim, size in enumerate(component.shape) if size > 1]
        if all(dim in reduced for dim in wide):
            if call.name not in AVERAGES and not call.vanishes(next(iter(call.arguments))):
                call.space.freeze(component, call.reason(Kind.COUNTED))
            continue
        for dim in set(wide) & reduced:
            call.space.tie(component, component.take([0], dim))
            component = component.take([0], dim)
        kept.append(component.reshape(_shape(component.shape, reduced, len(call.shape) == len(value.shape))))
    return tuple(kept)


def _shape(shape: Sequence[int], reduced: set[int], keepdim: bool) -> list[int]:
    return [size for dim, size in enumerate(shape) if keepdim or dim not in reduced]


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        [
            *(f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_avg", "adaptive_max", "lp") for n in (1, 2, 3)),
            *(f"upsample_{kind}" for kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d")),
            *(f"upsample_{kind}" for kind in ("trilinear3d", "bicubic2d", "nearest_exact2d")),
            *(f"_upsample_{kind}" for kind in ("nearest_exact1d", "nearest_exact2d", "nearest_exact3d")),
            *(f"_upsample_{kind}_aa" for kind in ("bilinear2d", "bicubic2d")),
            *(f"max_pool{n}d_with_indices" for n in (1, 2, 3)),
            *(f"fractional_max_pool{n}d" for n in (2, 3)),
            "grid_sampler",
        ],
        pool,
    ),
    **dict.fromkeys(["max_unpool2d", "max_unpool3d"], unpool),
    **dict.fromkeys([f"torchvision.{kind}" for kind in ("roi_align", "roi_pool")], regions),
    **dict.fromkeys(["mean", "sum", "amax", "amin", "prod", "logsumexp"], reduction),
    **dict.fromkeys(["max", "min"], extreme),
    **dict.fromkeys(["var", "std", "var_mean", "std_mean", "linalg_vector_norm", "norm"], reduction),
}
