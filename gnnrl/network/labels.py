"""Channel labels: the algebra behind the question "which channels must go together?".

A network is run once on labels instead of activations. The labels of a tensor are a set of *components*: int64
arrays with the tensor's number of dimensions, of size 1 along every dimension that the component does not vary
with. An activation [N, C, H, W] has one component [1, C, 1, 1]; a weight [O, I, k, k] has two, [O, 1, 1, 1] and
[1, I, 1, 1]. An element of the tensor goes as soon as one of the labels at its position goes. A dimension that no
component varies with has a fixed size.

Operations *tie* labels: tied labels are kept or removed together. The connected components of tied labels are the
*units* of the network. Labels that must stay are *frozen*, with the reason.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gnnrl.network.incidence import equal_rows, incidence
from gnnrl.network.reasons import Reason

Component = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Value:
    """Labels of one tensor: its shape and the components of its labels (none: every dimension is fixed)."""

    shape: tuple[int, ...]
    components: tuple[Component, ...] = ()

    def varying(self, dim: int) -> list[Component]:
        """Components that vary along a dimension."""
        return [component for component in self.components if component.shape[dim] > 1]

    def labelled(self) -> set[int]:
        """Dimensions that some component varies with."""
        return {dim for component in self.components for dim, size in enumerate(component.shape) if size > 1}


def independent(components: Iterable[Component]) -> list[Component]:
    """Components that vary along different dimensions, largest first: the product of their sizes counts elements."""
    chosen: list[Component] = []
    seen: set[int] = set()
    for component in sorted(components, key=lambda labels: -labels.size):
        wide = {dim for dim, size in enumerate(component.shape) if size > 1}
        if not wide & seen:
            chosen.append(component)
            seen |= wide
    return chosen


class LabelSpace:
    """All labels of one network, what ties them and what freezes them."""

    def __init__(self) -> None:
        self._count = 0
        self._blocks: dict[int, Component] = {}
        self._ties: list[tuple[Component, Component]] = []
        self._frozen: list[tuple[Component, Reason]] = []
        self._rectangles: list[tuple[Component, int | None]] = []
        self.parts: list[Component] = []
        self._cuts: list[tuple[Sequence[Component], Component]] = []

    def fresh(self, count: int) -> Component:
        """Make `count` labels that nothing is tied to yet."""
        self._count += count
        labels = np.arange(self._count - count, self._count, dtype=np.int64)
        self._blocks[id(labels)] = labels
        return labels

    def tie(self, a: Component, b: Component) -> None:
        """Tie two broadcastable arrays of labels position by position."""
        if a is not b:
            self._ties.append((a, b))

    def freeze(self, labels: Component, reason: Reason) -> None:
        """Keep these labels, for this reason."""
        self._frozen.append((labels.ravel(), reason))

    def keep_rectangular(self, labels: Component, shrinking: int | None = None) -> None:
        """Demand that what remains of an array that varies along several dimensions is again a full array.

        Args:
            shrinking: the dimension that becomes smaller where nothing else decides, None for the last one.
        """
        self._rectangles.append((labels, shrinking))

    def cut(self, parts: Sequence[Component], pieces: Component | None) -> None:
        """Let parts of one dimension shrink independently.

        Args:
            pieces: equal parts [n, ...] of the same labels, which are tried if none of the parts may shrink by itself.
        """
        self.parts += parts
        if pieces is not None:
            self._cuts.append((parts, pieces))

    def even_out(self, labels: Component) -> Component:
        """Tie the pieces of every cut all of whose parts hold some of these labels.

        Returns:
            which of the labels are in such a cut [labels], as booleans.
        """
        spared = np.zeros(len(labels), bool)
        if not self._cuts:
            return spared
        units, waiting = self.units(), self._cuts
        self._cuts = []
        for parts, pieces in waiting:
            if all(np.isin(units[part], units[labels]).any() for part in parts):
                self.keep_rectangular(pieces)
                spared |= np.isin(units[labels], units[pieces])
            else:
                self._cuts.append((parts, pieces))
        return spared

    def along(self, value: Value, dim: int, reason: Reason) -> Component | None:
        """Labels along one dimension [size], or None where it is fixed.

        What varies along other dimensions too is tied along them; a second component along the same dimension
        cannot be kept apart from the first, so both are frozen.
        """
        dim %= len(value.shape)
        found = value.varying(dim)
        if not found:
            return None
        rows = [_rows(component, dim) for component in found]
        for row in rows:
            if len(row) > 1:
                self.tie(row, row[:1])
        if len(rows) > 1:
            for row in rows:
                self.freeze(row, reason)
        first: Component = rows[0][0]
        return first

    def units(self) -> Component:
        """Solve the ties: the unit that each label belongs to [labels]."""
        ties = list(self._ties)
        while True:
            units = self._connected(ties)
            missing = [tie for array, dim in self._rectangles if (tie := _missing_tie(array, units, dim)) is not None]
            if not missing:
                return units
            ties += missing

    def reasons(self, units: Component) -> dict[int, list[Reason]]:
        """Reasons of every frozen unit, in the order of the program."""
        frozen, position = np.unique(units[_joined([labels for labels, _ in self._frozen])], return_inverse=True)
        bounds = np.cumsum([len(labels) for labels, _ in self._frozen])
        entries = incidence(np.split(position, bounds)[:-1], len(frozen))
        known: dict[int, list[Reason]] = {}
        found = {}
        for row, (unit, alike) in enumerate(zip(frozen.tolist(), equal_rows(entries).tolist(), strict=True)):
            if alike not in known:
                which = entries.indices[entries.indptr[row] : entries.indptr[row + 1]]
                known[alike] = list(dict.fromkeys(self._frozen[entry][1] for entry in which))
            found[unit] = known[alike]
        return found

    def _connected(self, ties: Iterable[tuple[Component, Component]]) -> Component:
        """Solve these ties; those between whole blocks, which are most, without a look at single labels."""
        leaders = {name: name for name in self._blocks}
        single = []
        for a, b in ties:
            left, right = self._block(a), self._block(b)
            if left and right and a.size == b.size == np.broadcast(a, b).size:
                leaders[_leader(leaders, left)] = _leader(leaders, right)
            else:
                single.append(np.broadcast_arrays(a, b))
        leading = _joined([self._blocks[_leader(leaders, name)] for name in leaders])
        ends = np.stack([leading[_joined(side)] for side in (zip(*single, strict=True) if single else ([], []))])
        nodes, inverse = np.unique(ends, return_inverse=True)
        edges = coo_array((np.ones(ends.shape[1], np.int8), inverse.reshape(ends.shape)), shape=(len(nodes),) * 2)
        _, first, unit = np.unique(connected_components(edges, directed=False)[1], True, True)
        units = np.arange(self._count)
        units[nodes] = nodes[first[unit]]
        units = units[leading]
        is_used = np.zeros(self._count, bool)
        is_used[units] = True
        return (np.cumsum(is_used) - 1)[units]

    def _block(self, labels: Component) -> int:
        """The block that an array holds whole and in order, along one of its dimensions; 0 for any other array."""
        owner = id(labels if labels.base is None else labels.base)
        block = self._blocks.get(owner)
        if block is None or not labels.size == block.size == max(labels.shape):
            return 0
        return owner if labels.size == 1 or labels.strides[labels.shape.index(labels.size)] > 0 else 0


def _joined(arrays: Iterable[Component]) -> Component:
    return np.concatenate([np.empty(0, np.int64), *(array.ravel() for array in arrays)])


def _leader(leaders: dict[int, int], name: int) -> int:
    """The block that stands for all that are tied to this one; shortens the way to it."""
    way = name
    while leaders[way] != way:
        way = leaders[way]
    while leaders[name] != way:
        leaders[name], name = way, leaders[name]
    return way


def _rows(component: Component, dim: int) -> Component:
    """A component as rows [n, size] along one dimension."""
    size = component.shape[dim]
    return (component if component.size == size else np.moveaxis(component, dim, -1)).reshape(-1, size)


def _missing_tie(labels: Component, units: Component, shrinking: int | None) -> tuple[Component, Component] | None:
    """A tie that makes an array of units vary along one dimension only, or None where it already does.

    Channels split into equal parts (`view(n, parts, c // parts)`, `chunk`) need equally many survivors in each part.
    Whole rows may go (attention heads) or the same positions of every row (channel shuffle); where nothing in the
    program decides, the same positions of every row go.
    """
    array = units[labels]
    varying = [dim for dim, size in enumerate(array.shape) if size > 1 and not _constant(array, dim)]
    if len(varying) < 2:
        return None
    return labels, labels.take([0], next(dim for dim in varying if dim != shrinking))


def _constant(array: Component, dim: int) -> bool:
    first = array[(*[slice(None)] * dim, slice(0, 1))]
    return bool((array == first).all())


def squeeze_fixed(component: Component) -> Component:
    """Give size 1 to every dimension along which a component repeats itself."""
    for dim, size in enumerate(component.shape):
        if size > 1 and _constant(component, dim):
            component = component.take([0], dim)
    return component
