"""The network as data: operations, groups of channels and where each channel lives. No tensors, no modules.

U = units of all groups together, G = groups. Units are numbered through all groups; index 0 of every table over
units stands for "fixed": channels that no plan may remove.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnrl.network.cost import CostModel
from gnnrl.network.labels import Component
from gnnrl.network.reasons import Reason
from gnnrl.views import show


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the network: what it is, where it stands and what it reads.

    Attributes:
        name: the operation's ATen name without overload, such as `conv2d`.
        module: dotted path of the innermost module, "" for the network itself.
        modules: (path, class name) of all enclosing modules, outermost first.
        location: file:line of the user's code.
        inputs: indices of the operations whose results it reads.
        parameters: names of its parameters and buffers by argument, such as {"weight": "conv1.weight"}.
        settings: its plain arguments, such as stride and groups.
        shape: shape of its first result, for the example inputs.
        axes: dimensions of the first result that a plan can shorten.
        others: shape and such dimensions of each further result.
        operands: shape and such dimensions of each computed tensor that an operation with multiply-accumulates reads.
    """

    index: int
    name: str
    module: str
    modules: tuple[tuple[str, str], ...]
    location: str
    inputs: tuple[int, ...]
    parameters: Mapping[str, str]
    settings: Mapping[str, Any]
    shape: tuple[int, ...]
    axes: tuple["Axis", ...] = ()
    others: tuple[tuple[tuple[int, ...], tuple["Axis", ...]], ...] = ()
    operands: Mapping[str, tuple[tuple[int, ...], tuple["Axis", ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the units of a group live: positions [units, k] along one dimension of a parameter or buffer."""

    tensor: str
    dim: int
    positions: Component


@dataclass(frozen=True, slots=True)
class Axis:
    """A dimension of a tensor whose size follows the plan: the global unit of each position [size], 0 where fixed."""

    dim: int
    owner: Component


@dataclass(frozen=True, slots=True)
class Binding:
    """An attribute of a user's module that states a size: it is set to what is left of `owner` [size].

    Attributes:
        module: dotted path of the module, "" for the network itself.
        position: place in a tuple or list, None for a plain integer.
    """

    module: str
    attribute: str
    position: int | None
    owner: Component


@dataclass(frozen=True, slots=True)
class Group:
    """Units that touch the same dimensions in the same way: the plan says how many of them stay.

    Attributes:
        index: position in `Network.groups`; -1 for a frozen group.
        size: number of units, the group's width in the dense network.
        reasons: why no unit of a frozen group may go; empty for a group that a plan decides about.
        macs_share: share of all multiply-accumulates that compute the group's channels.
        kind: "heads", "stream", "hidden" or "channels", see `kinds`; of a frozen group always "channels".
    """

    index: int
    name: str
    size: int
    places: tuple[Place, ...]
    reasons: tuple[Reason, ...] = ()
    macs_share: float = 0.0
    kind: str = "channels"


@dataclass(frozen=True, slots=True)
class Network:
    """What a network is: its operations, its groups, its size. Made by `trace`.

    Attributes:
        groups: groups that a plan decides about, in the order of the program.
        frozen: groups that stay whole, with the reasons.
        shapes: shape of every parameter and buffer.
        owners: (tensor, dim) -> global unit of each position [size], 0 where fixed.
        offsets: global number of the first unit of each group [G]; the last entry is one past the last unit.
        batch_size: samples in the example inputs; sizes are given for one sample.
        unrun: modules with parameters that the example inputs do not run: they are left as they are, so inputs that
            do run them may not fit any more.
    """

    model_class: str
    operations: tuple[Operation, ...]
    groups: tuple[Group, ...]
    frozen: tuple[Group, ...]
    shapes: Mapping[str, tuple[int, ...]]
    owners: Mapping[tuple[str, int], Component]
    offsets: Component
    cost: CostModel = field(repr=False)
    batch_size: int
    fingerprint: str
    bindings: tuple[Binding, ...] = ()
    unrun: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A table that a person can read: groups, sizes, what is frozen and why."""
        return show("network as text", self) or repr(self)

    def _repr_html_(self) -> str | None:
        """Show the network in a notebook."""
        return show("network as HTML", self)

    @property
    def widths(self) -> Component:
        """Width of every group in the dense network [G]."""
        return np.array([group.size for group in self.groups], np.int64)

    def group(self, name: str) -> Group:
        """The group of this name."""
        return next(group for group in self.groups if group.name == name)

    def alive(self, kept: Sequence[ArrayLike]) -> NDArray[np.bool_]:
        """Which units stay [1 + U], given the kept units of each group; entry 0 (fixed) is True."""
        alive = np.zeros(int(self.offsets[-1]), bool)
        alive[0] = True
        for offset, units in zip(self.offsets, kept, strict=False):
            alive[offset + np.asarray(units, np.int64)] = True
        return alive

    def stated(self, alive: NDArray[np.bool_]) -> list[dict[str, Any]]:
        """What the bound attributes of the user's modules state in the narrower network, as JSON values."""
        return [
            {
                "module": binding.module,
                "attribute": binding.attribute,
                "position": binding.position,
                "size": int(alive[binding.owner].sum()),
            }
            for binding in self.bindings
        ]

    def positions(self, alive: NDArray[np.bool_]) -> dict[tuple[str, int], Component]:
        """Positions that stay along every dimension that loses some."""
        distinct = {id(owner): owner for owner in self.owners.values()}
        masks = {number: alive[owner] for number, owner in distinct.items()}
        left = {number: np.flatnonzero(mask) for number, mask in masks.items() if not mask.all()}
        return {key: left[id(owner)] for key, owner in self.owners.items() if id(owner) in left}
