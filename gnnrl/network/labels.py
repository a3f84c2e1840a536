"""Channel labels: the algebra behind the question "which channels must go together?".

A network is run once on labels instead of activations. The labels of a tensor are a set of *components*: int64 arrays
with as many dimensions as the tensor. A component has size 1 along every dimension with which it does not vary. An
activation [N, C, H, W] has one component [1, C, 1, 1]; a weight [O, I, k, k] has two, [O, 1, 1, 1] and [1, I, 1, 1].
An element of the tensor is removed as soon as one of the labels at its position is removed. A dimension with which no
component varies has a fixed size.

Operations *tie* labels: tied labels are kept or removed together. The connected components of tied labels are the
*units* of the network. Labels that must stay are *frozen* for a reason.
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
    """Shape and components of the labels of one tensor. Without components every dimension is fixed."""

    shape: tuple[int, ...]
    components: tuple[Component, ...] = ()

    def varying(self, dim: int) -> list[Component]:
        """Return the components that vary along a dimension."""
        return [component for component in self.components if component.shape[dim] > 1]

    def labelled(self) -> set[int]:
        """Return the dimensions along which some component varies."""
        return set().union(*map(wide, self.components))

    def aligned(self, rank: int) -> "Value":
        """Return the same labels with `rank` dimensions; those that broadcasting adds in front are fixed."""
        pad = (1,) * (rank - len(self.shape))
        return Value(pad + self.shape, tuple(labels.reshape(pad + labels.shape) for labels in self.components))


def wide(component: Component) -> set[int]:
    """Return the dimensions along which a component varies."""
    return {dim for dim, size in enumerate(component.shape) if size > 1}


def independent(components: Iterable[Component]) -> list[Component]:
    """Choose components that share no dimension, largest first. The product of their sizes counts elements."""
    chosen: list[Component] = []
    seen: set[int] = set()
    for component in sorted(components, key=lambda labels: -labels.size):
        if not wide(component) & seen:
            chosen.append(component)
            seen |= wide(component)
    return chosen


class LabelSpace:
    """All labels of one network, with their ties and the reasons of frozen ones."""

    def __init__(self) -> None:
        self._count = 0
        self._blocks: dict[int, Component] = {}
        self._ties: list[tuple[Component, Component]] = []
        self._frozen: list[tuple[Component, Reason]] = []
        self._rectangles: list[tuple[Component, int | None]] = []
        self.parts: list[Component] = []
        self._cuts: list[tuple[Sequence[Component], Component]] = []

    def fresh(self, count: int) -> Component:
        """Return `count` new labels without ties."""
        self._count += count
        labels = np.arange(self._count - count, self._count, dtype=np.int64)
        self._blocks[id(labels)] = labels
        return labels

    def tie(self, a: Component, b: Component) -> None:
        """Tie two broadcastable arrays of labels position by position."""
        if a is not b:
            self._ties.append((a, b))

    def pin(self, component: Component, dims: Iterable[int]) -> Component:
        """Tie a component along dimensions, and return it with size 1 there."""
        for dim in dims:
            first = component.take([0], dim)
            if component.shape[dim] > 1:
                self.tie(component, first)
            component = first
        return component

    def freeze(self, labels: Component, reason: Reason) -> None:
        """Freeze labels for a reason."""
        self._frozen.append((labels.ravel(), reason))

    def keep_rectangular(self, labels: Component, shrinking: int | None = None) -> None:
        """Require that the labels that stay of an array form an array again.

        Args:
            shrinking: the dimension that becomes smaller if nothing else decides; None for the last one.
        """
        self._rectangles.append((labels, shrinking))

    def cut(self, parts: Sequence[Component], pieces: Component | None) -> None:
        """Let parts of one dimension shrink independently.

        Args:
            pieces: equal parts [n, ...] of the same labels, which are tied if no part can shrink by itself.
        """
        self.parts += parts
        if pieces is not None:
            self._cuts.append((parts, pieces))

    def even_out(self, labels: Component) -> Component:
        """Tie the pieces of every cut if each of its parts contains some of these labels.

        Returns:
            Whether each label is in such a cut [labels].
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
        """Return the labels along one dimension [size], or None if its size is fixed.

        A component that also varies along other dimensions is tied along these. If two components vary along the
        dimension, they cannot be told apart, so both are frozen.
        """
        dim %= len(value.shape)
        found = value.varying(dim)
        if not found:
            return None
        rows = [_rows(component, dim) for component in found]
        for row in rows:
            self.pin(row, [0])
        if len(rows) > 1:
            for row in rows:
                self.freeze(row, reason)
        first: Component = rows[0][0]
        return first

    def units(self) -> Component:
        """Solve the ties, and return the unit of each label [labels]."""
        ties = list(self._ties)
        while True:
            units = self._connected(ties)
            missing = [tie for array, dim in self._rectangles if (tie := _missing_tie(array, units, dim)) is not None]
            if not missing:
                return units
            ties += missing

    def reasons(self, units: Component) -> dict[int, list[Reason]]:
        """Return the reasons of every frozen unit, in the order of the program."""
        frozen, position = np.unique(units[_joined([labels for labels, _ in self._frozen])], return_inverse=True)
        bounds = np.cumsum([len(labels) for labels, _ in self._frozen])
        # Row u of the incidence lists the entries of `_frozen` for unit u. Equal rows share one list of reasons.
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
        """Solve ties. The most frequent ones, of whole blocks, are solved without looking at single labels."""
        # Merge whole blocks by union-find; collect the other ties label by label.
        leaders = {name: name for name in self._blocks}
        single = []
        for a, b in ties:
            left, right = self._block(a), self._block(b)
            if left and right and a.size == b.size == np.broadcast(a, b).size:
                leaders[_leader(leaders, left)] = _leader(leaders, right)
            else:
                single.append(np.broadcast_arrays(a, b))
        # Replace every label by the one at its position in the leading block.
        leading = _joined([self._blocks[_leader(leaders, name)] for name in leaders])
        ends = np.stack([leading[_joined(side)] for side in (zip(*single, strict=True) if single else ([], []))])
        # Find the connected components of the labels that single ties touch; the smallest label stands for each.
        nodes, inverse = np.unique(ends, return_inverse=True)
        edges = coo_array((np.ones(ends.shape[1], np.int8), inverse.reshape(ends.shape)), shape=(len(nodes),) * 2)
        _, first, unit = np.unique(connected_components(edges, directed=False)[1], True, True)
        units = np.arange(self._count)
        units[nodes] = nodes[first[unit]]
        units = units[leading]
        # Number the units consecutively.
        is_used = np.zeros(self._count, bool)
        is_used[units] = True
        return (np.cumsum(is_used) - 1)[units]

    def _block(self, labels: Component) -> int:
        """Return the block that an array contains whole and in order along one dimension, 0 for any other array."""
        owner = id(labels if labels.base is None else labels.base)
        block = self._blocks.get(owner)
        if block is None or not labels.size == block.size == max(labels.shape):
            return 0
        return owner if labels.size == 1 or labels.strides[labels.shape.index(labels.size)] > 0 else 0


def _joined(arrays: Iterable[Component]) -> Component:
    return np.concatenate([np.empty(0, np.int64), *(array.ravel() for array in arrays)])


def _leader(leaders: dict[int, int], name: int) -> int:
    """Return the leading block of all that are tied to this one, and shorten the path to it."""
    leader = name
    while leaders[leader] != leader:
        leader = leaders[leader]
    while leaders[name] != leader:
        leaders[name], name = leader, leaders[name]
    return leader


def _rows(component: Component, dim: int) -> Component:
    """Return a component as rows [n, size] along one dimension."""
    size = component.shape[dim]
    return (component if component.size == size else np.moveaxis(component, dim, -1)).reshape(-1, size)


def _missing_tie(labels: Component, units: Component, shrinking: int | None) -> tuple[Component, Component] | None:
    """Return a tie after which an array of units varies along fewer dimensions, or None if it varies along one only.

    If channels are split into equal parts (`view(n, parts, c // parts)`, `chunk`), each part must keep the same number.
    Either whole rows are removed (attention heads), or the same positions of every row (channel shuffle). If nothing in
    the program decides, the same positions of every row are removed.
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
    """Reduce every dimension along which a component is constant to size 1."""
    for dim, size in enumerate(component.shape):
        if size > 1 and _constant(component, dim):
            component = component.take([0], dim)
    return component
