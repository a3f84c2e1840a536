"""Operations that summarise positions: pooling, interpolation and reductions."""

from collections.abc import Sequence

from gnnrl.network.labelling.operations.call import Call, Rule
from gnnrl.network.labels import Component, Value
from gnnrl.network.reasons import Kind


def pool(call: Call) -> Value | list[Value]:
    """Pool or resize the spatial dimensions, and keep the labels of the channels."""
    value = call.value(next(iter(call.arguments)))
    rank = len(value.shape)
    space = range(rank - next((int(letter) for letter in call.name if letter.isdigit()), 2), rank)
    kept = call.whole(value, space, Kind.TAKEN_OVER).components
    results = [Value(shape, kept) for shape in call.shapes]
    return results if isinstance(call.node.meta["val"], list | tuple) else results[0]


def reduction(call: Call) -> Value | list[Value]:
    """Reduce dimensions. Sums and lengths allow any number of channels, every other reduction needs a fixed number."""
    value = call.value(next(iter(call.arguments)))
    dims = call.arguments.get("dim")
    if dims is None or dims == []:
        dims = range(len(value.shape))
    reduced = {dim % len(value.shape) for dim in ([dims] if isinstance(dims, int) else dims)}
    if call.name != "sum" and not _is_length(call):
        call.freeze(value, Kind.TAKEN_OVER, sorted(reduced))
    components = _reduced(call, value, reduced)
    results = [Value(shape, components) for shape in call.shapes]
    return results if isinstance(call.node.meta["val"], list | tuple) else results[0]


def _is_length(call: Call) -> bool:
    """Return whether the call is a norm to which zeros add nothing."""
    order = call.arguments.get("ord", call.arguments.get("p")) if "norm" in call.name else None
    return isinstance(order, int | float) and order > 0


def _reduced(call: Call, value: Value, reduced: set[int]) -> tuple[Component, ...]:
    kept = []
    for component in value.components:
        wide = [dim for dim, size in enumerate(component.shape) if size > 1]
        if all(dim in reduced for dim in wide):
            if not call.vanishes(next(iter(call.arguments))):
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
    **dict.fromkeys(["mean", "sum", "amax", "amin", "max", "min", "prod", "logsumexp"], reduction),
    **dict.fromkeys(["var", "std", "var_mean", "linalg_vector_norm", "norm"], reduction),
}
