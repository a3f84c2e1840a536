"""From units to groups: what is removed together, where it lives, what it costs, and why another is fixed.

Units that touch the same dimensions the same number of times are interchangeable for the size of the network and form
a group.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from scipy.sparse import csr_array

from gnnrl.modules.layers import layer_of
from gnnrl.network.cost import CostModel, Metric
from gnnrl.network.incidence import equal_rows, incidence
from gnnrl.network.labelling.liveness import Buffer
from gnnrl.network.labelling.operations.call import Tensors, Work
from gnnrl.network.labels import Component
from gnnrl.network.polynomial import Peak, Polynomial, Sizes
from gnnrl.network.reasons import Reason
from gnnrl.network.structure import Group, Place


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups of a network, the owner of each channel and the closed form of its size."""

    groups: tuple[Group, ...]
    frozen: tuple[Group, ...]
    owners: dict[tuple[str, int], Component]
    offsets: Component
    cost: CostModel
    table: Component

    def owner_of(self, labels: Component) -> Component:
        """Global units of an array of labels, 0 where fixed."""
        return self.table[labels]


def find_groups(
    tensors: Tensors,
    works: Sequence[Work],
    buffers: Sequence[Buffer],
    itemsizes: Mapping[str, int],
    trainable: set[str],
    batch_size: int,
) -> Grouping:
    """Solve the labels of a network and collect its groups.

    Args:
        buffers: memory of the results, which does not tell units apart.
        itemsizes: bytes of one element of every parameter and buffer.
        trainable: names of the parameters; the other tensors are buffers and count for bytes only.
    """
    units = tensors.space.units()
    reasons = tensors.space.reasons(units)
    worked = [extent for work in works for extent in work.extents]
    kept = [extent for buffer in buffers for extent in buffer.extents]
    telling = [*tensors.labels.values(), *worked, *map(np.ravel, tensors.space.parts)]
    extents = _Extents.of(units, telling, kept)
    count = int(units.max(initial=-1)) + 1
    is_frozen = np.zeros(count, bool)
    is_frozen[list(reasons)] = True
    members = _members(extents)
    free = [group for group in members if not is_frozen[group].any()]
    stuck = _by_reason([group[is_frozen[group]] for group in members], reasons)
    bounds = np.cumsum([1, *(len(group) for group in (*free, *stuck))]).astype(np.int64)
    numbers = np.zeros(count, np.int64)
    for first, group in zip(bounds, (*free, *stuck), strict=False):
        numbers[group] = np.arange(first, first + len(group))
    offsets = bounds[: len(free) + 1]
    table = np.where(numbers < offsets[-1], numbers, 0)
    places = _places(list(tensors.labels), extents, numbers, bounds)
    names = _Names()
    groups = tuple(
        Group(index, names.take(found), len(group), found)
        for index, (group, found) in enumerate(zip(free, places, strict=False))
    )
    frozen = tuple(
        Group(-1, names.take(found), len(group), found, tuple(reasons[int(group[0])]))
        for group, found in zip(stuck, places[len(free) :], strict=True)
        if found
    )
    owned = [table[extent] for extent in extents.distinct]
    owners = {key: owned[index] for key, index in zip(tensors.labels, extents.index, strict=False)}
    cost = _cost_model(tensors, works, buffers, extents, free, itemsizes, trainable, batch_size)
    return Grouping(groups, frozen, owners, offsets, cost, table[units])


@dataclass(frozen=True, slots=True)
class _Extents:
    """The units along every labelled dimension, in the factors of the work and of the memory; equal ones once.

    Attributes:
        index: position in `distinct` of each extent that tells units apart.
        kept: position in `distinct` of each extent of the memory.
        counts: how often each unit occurs in each distinct extent [units, distinct].
        telling: how many of the distinct extents, the first ones, tell units apart.
    """

    index: list[int]
    kept: list[int]
    distinct: list[Component]
    counts: csr_array
    telling: int

    @classmethod
    def of(cls, units: Component, labels: Sequence[Component], kept: Sequence[Component]) -> "_Extents":
        known: dict[bytes, int] = {}
        distinct: list[Component] = []

        def position(array: Component) -> int:
            extent = units[array]
            found = known.setdefault(extent.tobytes(), len(known))
            if len(known) > len(distinct):
                distinct.append(extent)
            return found

        index = [position(array) for array in labels]
        telling = len(distinct)
        of_memory = [position(array) for array in kept]
        return cls(index, of_memory, distinct, incidence(distinct, int(units.max(initial=-1)) + 1), telling)


def _members(extents: _Extents) -> list[Component]:
    """Units with equal signatures (how often they occur in which extent), in the order of their first occurrence."""
    flat = np.concatenate([np.empty(0, np.int64), *extents.distinct[: extents.telling]])
    signature = equal_rows(extents.counts[:, : extents.telling].tocsr())
    found, first = np.unique(flat, return_index=True)
    ordered = found[np.argsort(first)]
    _, first = np.unique(signature[ordered], return_index=True)
    rank = np.zeros(len(signature), np.int64)
    rank[signature[ordered[np.sort(first)]]] = np.arange(len(first))
    return _split(ordered, rank[signature[ordered]])


def _split(items: Component, key: Component) -> list[Component]:
    """Split items [n] by an ascending key [n], in order of the keys, each part in the order of the items."""
    order = np.argsort(key, kind="stable")
    items, key = items[order], key[order]
    return np.split(items, np.flatnonzero(np.diff(key)) + 1) if len(items) else []


def _by_reason(groups: Sequence[Component], reasons: Mapping[int, list[Reason]]) -> list[Component]:
    """Split groups of frozen units so that all units of one have the same reasons."""
    result = []
    for group in groups:
        found: dict[tuple[Reason, ...], list[int]] = {}
        for unit in group.tolist():
            found.setdefault(tuple(reasons[unit]), []).append(unit)
        result += [np.array(same, np.int64) for same in found.values()]
    return result


def _places(
    keys: Sequence[tuple[str, int]], extents: _Extents, numbers: Component, bounds: Component
) -> list[tuple[Place, ...]]:
    """Where the units of each group live, in the order of the program; groups are runs of numbered units."""
    positions: dict[int, list[tuple[int, Component]]] = {}
    places: list[list[Place]] = [[] for _ in bounds[1:]]
    for (tensor, dim), index in zip(keys, extents.index, strict=False):
        if index not in positions:
            found = numbers[extents.distinct[index]]
            order = np.argsort(found, kind="stable")
            order = order[np.searchsorted(found[order], 1) :]
            group = np.searchsorted(bounds, found[order], side="right") - 1
            homes = group[np.flatnonzero(np.diff(group, prepend=-1))]
            parts = [
                part.reshape(bounds[home + 1] - bounds[home], -1)
                for home, part in zip(homes, _split(order, group), strict=True)
            ]
            positions[index] = list(zip(homes.tolist(), parts, strict=True))
        for home, part in positions[index]:
            places[home].append(Place(tensor, dim, part))
    return [tuple(found) for found in places]


class _Names:
    """Names a group after the module whose output it is; a number tells several of one module apart."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def take(self, places: Sequence[Place]) -> str:
        if not places:
            return ""
        name = layer_of(places[0].tensor) or places[0].tensor
        self._taken[name] = self._taken.get(name, 0) + 1
        return name if self._taken[name] == 1 else f"{name}:{self._taken[name]}"


def _cost_model(
    tensors: Tensors,
    works: Sequence[Work],
    buffers: Sequence[Buffer],
    extents: _Extents,
    free: Sequence[Component],
    itemsizes: Mapping[str, int],
    trainable: set[str],
    batch_size: int,
) -> CostModel:
    """The closed form over the distinct extents: units of one group occur equally often in each of them."""
    counts = extents.counts[[int(group[0]) for group in free]].T.tocsr()
    widths = np.array([len(group) for group in free], np.int64)
    lengths = np.array([len(extent) for extent in extents.distinct], np.int64)
    sizes = Sizes.build(lengths - counts @ widths, counts)
    index = iter(extents.index)
    labelled: dict[str, dict[int, int]] = {}
    for name, dim in tensors.labels:
        labelled.setdefault(name, {})[dim] = next(index)
    macs = [(work.factor, [next(index) for _ in work.extents]) for work in works]
    kept = iter(extents.kept)
    alive = [(buffer.factor, [next(kept) for _ in buffer.extents]) for buffer in buffers]
    params, stored = [], []
    for name, shape in tensors.shapes.items():
        factors = labelled.get(name, {})
        fixed = prod(size for dim, size in enumerate(shape) if dim not in factors)
        stored.append((fixed * itemsizes[name], list(factors.values())))
        if name in trainable:
            params.append((fixed, list(factors.values())))
    one = len(extents.distinct)
    lives = [(buffer.first, buffer.last) for buffer in buffers]
    return CostModel(
        sizes=sizes,
        metrics={
            "macs": Metric(sizes, Polynomial.build(macs, one), batch_size),
            "params": Metric(sizes, Polynomial.build(params, one)),
            "bytes": Metric(sizes, Polynomial.build(stored, one)),
            "activations": Metric(sizes, Peak.build(alive, lives, one), batch_size),
        },
        operations=np.array([work.operation for work in works], np.int64),
    )
