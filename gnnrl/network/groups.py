"""From units to groups: what is removed together, where it lives, what it costs, and why another is fixed.

Units that touch the same dimensions the same number of times are interchangeable for the size of the network and form
a group.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnrl.network.cost import CostModel, Polynomial
from gnnrl.network.labels import Component, Reason
from gnnrl.network.operations.call import Tensors, Work
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
    tensors: Tensors, works: Sequence[Work], itemsizes: Mapping[str, int], trainable: set[str], batch_size: int
) -> Grouping:
    """Solve the labels of a network and collect its groups.

    Args:
        itemsizes: bytes of one element of every parameter and buffer.
        trainable: names of the parameters; the other tensors are buffers and count for bytes only.
    """
    units = tensors.space.units()
    reasons = tensors.space.reasons(units)
    keys = list(tensors.labels)
    extents = [units[tensors.labels[key]] for key in keys]
    extents += [units[extent] for work in works for extent in work.extents]
    members = _members(extents)
    free = [group for group in members if not any(unit in reasons for unit in group)]
    free_set = {unit for group in free for unit in group}
    stuck = _by_reason([[u for u in group if u in reasons] for group in members], reasons)
    offsets = np.cumsum([1, *(len(group) for group in free)]).astype(np.int64)
    table = np.zeros(len(units) + 1, np.int64)
    for offset, group in zip(offsets, free, strict=False):
        table[group] = offset + np.arange(len(group))
    assert len(free_set) == offsets[-1] - 1, "a unit belongs to two groups"
    owners = {key: table[extent] for key, extent in zip(keys, extents, strict=False)}
    cost = _cost_model(tensors, works, units, table, offsets, itemsizes, trainable, batch_size)
    names = _Names()
    groups = tuple(
        Group(index, names.take(places), len(group), places)
        for index, group in enumerate(free)
        for places in [_places(keys, extents, group)]
    )
    frozen = tuple(
        Group(-1, names.take(places), len(group), places, tuple(reasons[group[0]]))
        for group in stuck
        for places in [_places(keys, extents, group)]
        if places
    )
    return Grouping(groups, frozen, owners, offsets, cost, table[units])


def _members(extents: Sequence[Component]) -> list[list[int]]:
    """Units with equal signatures (how often they occur in which extent), in the order of their first occurrence."""
    if not extents:
        return []
    unit = np.concatenate(extents)
    extent = np.repeat(np.arange(len(extents)), [len(labels) for labels in extents])
    pairs, first, counts = np.unique(np.stack([unit, extent], 1), axis=0, return_index=True, return_counts=True)
    starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
    found: dict[bytes, list[tuple[int, int]]] = {}
    for start, end in zip(starts, [*starts[1:], len(pairs)], strict=True):
        signature = np.stack([pairs[start:end, 1], counts[start:end]]).tobytes()
        found.setdefault(signature, []).append((int(first[start:end].min()), int(pairs[start, 0])))
    ordered = sorted((sorted(group) for group in found.values()), key=lambda group: group[0])
    return [[unit for _, unit in group] for group in ordered]


def _by_reason(groups: Sequence[Sequence[int]], reasons: Mapping[int, list[Reason]]) -> list[list[int]]:
    """Split groups of frozen units so that all units of one have the same reasons."""
    result = []
    for group in groups:
        found: dict[tuple[Reason, ...], list[int]] = {}
        for unit in group:
            found.setdefault(tuple(reasons[unit]), []).append(unit)
        result += list(found.values())
    return result


def _places(keys: Sequence[tuple[str, int]], extents: Sequence[Component], group: Sequence[int]) -> tuple[Place, ...]:
    """Where the units of a group live, in the order of the program."""
    places = []
    order = np.argsort(group)
    ordered = np.asarray(group)[order]
    for (tensor, dim), extent in zip(keys, extents, strict=False):
        where = np.flatnonzero(np.isin(extent, ordered))
        if len(where):
            ranks = order[np.searchsorted(ordered, extent[where])]
            positions = where[np.argsort(ranks, kind="stable")].reshape(len(group), -1)
            places.append(Place(tensor, dim, positions))
    return tuple(places)


class _Names:
    """Names a group after the module whose output it is; a number tells several of one module apart."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def take(self, places: Sequence[Place]) -> str:
        if not places:
            return ""
        name = places[0].tensor.rpartition(".")[0] or places[0].tensor
        self._taken[name] = self._taken.get(name, 0) + 1
        return name if self._taken[name] == 1 else f"{name}:{self._taken[name]}"


def _cost_model(
    tensors: Tensors,
    works: Sequence[Work],
    units: Component,
    table: Component,
    offsets: Component,
    itemsizes: Mapping[str, int],
    trainable: set[str],
    batch_size: int,
) -> CostModel:
    rows: dict[bytes, int] = {}
    sizes: list[tuple[int, NDArray[np.int64]]] = []

    def extent(labels: Component) -> int:
        owner = table[units[labels.ravel()]]
        key = owner.tobytes()
        if key not in rows:
            rows[key] = len(sizes)
            group = np.searchsorted(offsets, owner[owner > 0], side="right") - 1
            counts = np.bincount(group, minlength=len(offsets) - 1)
            units_of = np.diff(offsets)
            sizes.append((int((owner == 0).sum()), counts // np.maximum(units_of, 1)))
        return rows[key]

    macs = [(work.factor, [extent(labels) for labels in work.extents]) for work in works]
    params, stored = [], []
    for name, shape in tensors.shapes.items():
        labelled = {dim: labels for (tensor, dim), labels in tensors.labels.items() if tensor == name}
        fixed = int(np.prod([size for dim, size in enumerate(shape) if dim not in labelled], dtype=np.int64))
        indices = [extent(labels) for labels in labelled.values()]
        stored.append((fixed * itemsizes[name], indices))
        if name in trainable:
            params.append((fixed, indices))
    one = len(sizes)
    fixed_sizes = np.array([*(fixed for fixed, _ in sizes), 1], np.int64)
    groups = len(offsets) - 1
    multiplicity = np.array([*(row for _, row in sizes), np.zeros(groups, np.int64)], np.int64).reshape(one + 1, groups)
    operations = np.array([work.operation for work in works], np.int64)
    return CostModel(
        fixed=fixed_sizes,
        multiplicity=multiplicity,
        macs=Polynomial.build(macs, one),
        params=Polynomial.build(params, one),
        bytes=Polynomial.build(stored, one),
        batch_size=batch_size,
        operations=operations,
    )
