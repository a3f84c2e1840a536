"""Groups of units: their places, their costs, and the reasons of frozen ones.

Units that touch the same dimensions the same number of times are interchangeable for all costs, and form
a group.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from scipy.sparse import csr_array

from gnnrl.modules.layers import layer_of
from gnnrl.network.cost import CostFunction, CostModel
from gnnrl.network.incidence import equal_rows, incidence
from gnnrl.network.labelling.liveness import Buffer
from gnnrl.network.labelling.operations.call import Tensors, Work
from gnnrl.network.labels import Component
from gnnrl.network.polynomial import Peak, Polynomial, Sizes
from gnnrl.network.reasons import Reason
from gnnrl.network.structure import Group, Place


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups of a network, the cost functions, and tables of all labels.

    Attributes:
        table: global unit of each label, 0 if it is frozen.
        homes: index of each label's group, free groups first; -1 if no tensor of a layer has the label.
    """

    groups: tuple[Group, ...]
    frozen: tuple[Group, ...]
    owners: dict[tuple[str, int], Component]
    offsets: Component
    cost: CostModel
    table: Component
    homes: Component


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
        buffers: memory of the results, which does not split groups.
        itemsizes: bytes of an element of every parameter and buffer.
        trainable: names of the parameters; all other tensors are buffers, which only count as bytes.
    """
    units = tensors.space.units()
    reasons = tensors.space.reasons(units)
    worked = [extent for work in works for extent in work.extents]
    kept = [extent for buffer in buffers for extent in buffer.extents]
    telling = [*tensors.labels.values(), *worked, *map(np.ravel, tensors.space.parts)]
    extents = _Extents.of(units, telling, kept)
    # Group the units, and split groups with frozen units by the reasons.
    count = int(units.max(initial=-1)) + 1
    is_frozen = np.zeros(count, bool)
    is_frozen[list(reasons)] = True
    members = _members(extents)
    free = [group for group in members if not is_frozen[group].any()]
    stuck = _by_reason([group[is_frozen[group]] for group in members], reasons)
    # Number the units group by group, free groups first; `bounds` are the first numbers. Number 0 stands for frozen.
    bounds = np.cumsum([1, *(len(group) for group in (*free, *stuck))]).astype(np.int64)
    numbers = np.zeros(count, np.int64)
    for first, group in zip(bounds, (*free, *stuck), strict=False):
        numbers[group] = np.arange(first, first + len(group))
    offsets = bounds[: len(free) + 1]
    table = np.where(numbers < offsets[-1], numbers, 0)
    places = _places(list(tensors.labels), extents, numbers, bounds)
    rows = list(zip((*free, *stuck), _names(places), places, strict=True))
    groups = (Group(index, name, len(group), found) for index, (group, name, found) in enumerate(rows[: len(free)]))
    frozen = (
        Group(-1, name, len(group), found, tuple(reasons[int(group[0])]))
        for group, name, found in rows[len(free) :]
        if found
    )
    owned = [table[extent] for extent in extents.distinct]
    owners = {key: owned[index] for key, index in zip(tensors.labels, extents.index, strict=False)}
    cost = _cost_model(tensors, works, buffers, extents, free, itemsizes, trainable, batch_size)
    homes = _homes(places, len(free))[np.searchsorted(bounds, numbers, side="right") - 1]
    return Grouping(tuple(groups), tuple(frozen), owners, offsets, cost, table[units], homes[units])


def _homes(places: Sequence[Sequence[Place]], free: int) -> Component:
    """Return the index of each group that is kept [groups + 1]: frozen ones without a place are not; the last is -1."""
    is_kept = np.array([number < free or bool(found) for number, found in enumerate(places)] + [False])
    return np.where(is_kept, np.cumsum(is_kept) - 1, -1)


@dataclass(frozen=True, slots=True)
class _Extents:
    """Extents: arrays of units along labelled dimensions, of MACs and of memory. Equal ones are stored once.

    Attributes:
        index: index in `distinct` of each extent that tells units apart.
        kept: index in `distinct` of each extent of the memory.
        counts: occurrences of each unit in each distinct extent [units, distinct].
        telling: number of the distinct extents that tell units apart; they are the first ones.
    """

    index: list[int]
    kept: list[int]
    distinct: list[Component]
    counts: csr_array
    telling: int

    @classmethod
    def of(cls, units: Component, labels: Sequence[Component], kept: Sequence[Component]) -> "_Extents":
        known: dict[bytes, tuple[int, Component]] = {}

        def position(array: Component) -> int:
            extent = units[array]
            return known.setdefault(extent.tobytes(), (len(known), extent))[0]

        index = [position(array) for array in labels]
        telling = len(known)
        of_memory = [position(array) for array in kept]
        distinct = [extent for _, extent in known.values()]
        return cls(index, of_memory, distinct, incidence(distinct, int(units.max(initial=-1)) + 1), telling)


def _members(extents: _Extents) -> list[Component]:
    """Group units with equal counts in all extents. Groups and their units are in the order of first occurrence."""
    flat = np.concatenate([np.empty(0, np.int64), *extents.distinct[: extents.telling]])
    signature = equal_rows(extents.counts[:, : extents.telling].tocsr())
    # Sort the units by first occurrence.
    found, first = np.unique(flat, return_index=True)
    ordered = found[np.argsort(first)]
    # Rank the signatures by the first occurrence of a unit with it, and split the units by rank.
    _, first = np.unique(signature[ordered], return_index=True)
    rank = np.zeros(len(signature), np.int64)
    rank[signature[ordered[np.sort(first)]]] = np.arange(len(first))
    return _split(ordered, rank[signature[ordered]])


def _split(items: Component, key: Component) -> list[Component]:
    """Split items [n] by a key [n]. Parts are in ascending order of the key, and keep the order of the items."""
    order = np.argsort(key, kind="stable")
    items, key = items[order], key[order]
    return np.split(items, np.flatnonzero(np.diff(key)) + 1) if len(items) else []


def _by_reason(groups: Sequence[Component], reasons: Mapping[int, list[Reason]]) -> list[Component]:
    """Split groups of frozen units so that all units of a group have the same reasons."""
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
    """Return the places of each group in the order of the program. Group g has the numbers from bounds[g] on."""
    positions: dict[int, list[tuple[int, Component]]] = {}
    places: list[list[Place]] = [[] for _ in bounds[1:]]
    for (tensor, dim), index in zip(keys, extents.index, strict=False):
        if index not in positions:
            # Sort the positions of the extent by the number of their unit, without frozen ones (number 0).
            found = numbers[extents.distinct[index]]
            order = np.argsort(found, kind="stable")
            order = order[np.searchsorted(found[order], 1) :]
            # Find the group of each position, and cut the positions into groups: one row [k] for each unit.
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


def _names(places: Sequence[Sequence[Place]]) -> list[str]:
    """Name groups by the module whose output each one is, with a number if the module has several groups."""
    taken = Counter[str]()
    names = []
    for found in places:
        name = (layer_of(found[0].tensor) or found[0].tensor) if found else ""
        taken[name] += 1
        names.append(name if taken[name] == 1 or not name else f"{name}:{taken[name]}")
    return names


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
    """Build the cost functions. Units of one group occur equally often in each extent, so the first stands for all."""
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
            "macs": CostFunction(sizes, Polynomial.build(macs, one), batch_size),
            "params": CostFunction(sizes, Polynomial.build(params, one)),
            "bytes": CostFunction(sizes, Polynomial.build(stored, one)),
            "activations": CostFunction(sizes, Peak.build(alive, lives, one), batch_size),
        },
        operations=np.array([work.operation for work in works], np.int64),
    )
