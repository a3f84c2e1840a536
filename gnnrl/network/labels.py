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

Component = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why labels are frozen: what stands in the way, in which operation and module, at which line of the user."""

    text: str
    operation: str = ""
    module: str = ""
    location: str = ""

    def __str__(self) -> str:
        where = [f"in {self.module}" if self.module else "", f"at {self.location}" if self.location else ""]
        return " ".join(part for part in (self.text, *where) if part)


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


class LabelSpace:
    """All labels of one network, what ties them and what freezes them."""

    def __init__(self) -> None:
        self._count = 0
        self._ties: list[tuple[Component, Component]] = []
        self._frozen: list[tuple[Component, Reason]] = []
        self._rectangles: list[tuple[Component, int | None]] = []
        self.parts: list[Component] = []
        self._cuts: list[tuple[Sequence[Component], Component]] = []

    def fresh(self, count: int) -> Component:
        """Make `count` labels that nothing is tied to yet."""
        self._count += count
        return np.arange(self._count - count, self._count, dtype=np.int64)

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
        entries = incidence([units[labels] for labels, _ in self._frozen], len(units))
        alike = equal_rows(entries).tolist()
        known: dict[int, list[Reason]] = {}
        found = {}
        for unit in np.flatnonzero(np.diff(entries.indptr)).tolist():
            if alike[unit] not in known:
                row = entries.indices[entries.indptr[unit] : entries.indptr[unit + 1]]
                known[alike[unit]] = list(dict.fromkeys(self._frozen[entry][1] for entry in row))
            found[unit] = known[alike[unit]]
        return found

    def _connected(self, ties: Iterable[tuple[Component, Component]]) -> Component:
        pairs = [np.broadcast_arrays(a, b) for a, b in ties]
        a = np.concatenate([left.ravel() for left, _ in pairs]) if pairs else np.empty(0, np.int64)
        b = np.concatenate([right.ravel() for _, right in pairs]) if pairs else np.empty(0, np.int64)
        edges = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(self._count, self._count))
        return np.asarray(connected_components(edges, directed=False)[1], np.int64)


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
