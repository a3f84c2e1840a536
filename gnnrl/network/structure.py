"""Networks as data, without tensors or modules: operations, groups of channels, and the places of each channel.

U = number of units in all groups, G = number of groups. Units are numbered across all groups. Index 0 of every table
of units stands for frozen channels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnrl.network.cost import CostModel
from gnnrl.network.labels import Component
from gnnrl.network.reasons import Reason
from gnnrl.views import show

T = TypeVar("T")
PRODUCTS = ("matmul", "bmm", "mm", "baddbmm", "einsum", "scaled_dot_product_attention")
"""Operations that multiply two computed tensors."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the network: its name, its place in the code, its inputs and its settings.

    Attributes:
        name: ATen name of the operation without overload, such as `conv2d`.
        module: dotted path of the innermost module, "" for the network itself.
        modules: (path, class name) of all enclosing modules, outermost first.
        location: file:line of the user's code.
        inputs: indices of the operations whose results it reads.
        parameters: names of its parameters and buffers, by argument: {"weight": "conv1.weight"}, {"tensors.0": "up"}.
        settings: its other arguments that are plain values, such as stride and groups.
        shape: shape of its first result for the example inputs.
        axes: dimensions of the first result that a plan can shorten.
        others: the same, shape and axes, of each further result.
        operands: the same of each computed tensor that it reads, if the operation has multiply-accumulates.
        averaged: shape and axes of the tensor whose average or length it computes to normalise channels. Removed
            channels are left out of it.
        is_filled: whether the result is filled with one number, so that its size may follow any other tensor.
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
    averaged: tuple[tuple[int, ...], tuple["Axis", ...]] | None = None
    is_filled: bool = False

    @property
    def is_layer(self) -> bool:
        """Return whether it is a convolution or a linear layer."""
        return "weight" in self.parameters and (self.name == "linear" or "conv" in self.name)

    @property
    def results(self) -> tuple[tuple[tuple[int, ...], tuple["Axis", ...]], ...]:
        """Shape and axes of every result."""
        return (self.shape, self.axes), *self.others


@dataclass(frozen=True, slots=True)
class Place:
    """Positions [units, k] of a group's units along one dimension of a parameter or buffer."""

    tensor: str
    dim: int
    positions: Component


@dataclass(frozen=True, slots=True)
class Axis:
    """A dimension of a tensor that a plan can shorten: the global unit of each position [size], 0 if it is frozen."""

    dim: int
    owner: Component


@dataclass(frozen=True, slots=True)
class Binding:
    """An attribute of a user's module that states a size. It is set to the number of positions of `owner` that stay.

    Attributes:
        module: dotted path of the module, "" for the network itself.
        position: index in a tuple or list, None for a plain integer.
    """

    module: str
    attribute: str
    position: int | None
    owner: Component


@dataclass(frozen=True, slots=True)
class Group:
    """Units that touch the same dimensions in the same way. The plan says how many of them stay.

    Attributes:
        index: index in `Network.groups`; -1 for a frozen group.
        size: number of units, which is the group's width in the dense network.
        reasons: why a frozen group stays whole; empty for a group that a plan decides about.
        macs_share: share of all MACs that compute the group's channels.
        kind: "heads", "stream", "hidden" or "channels", see `kinds`; always "channels" for a frozen group.
    """

    index: int
    name: str
    size: int
    places: tuple[Place, ...]
    reasons: tuple[Reason, ...] = ()
    macs_share: float = 0.0
    kind: str = "channels"


def groups_along(offsets: Component, owners: Iterable[Component]) -> set[int]:
    """Return the indices of the groups that have units in arrays of global units; see `Network.offsets`."""
    units = np.unique(np.concatenate([np.zeros(1, np.int64), *map(np.ravel, owners)]))
    return set((np.searchsorted(offsets, units[units > 0], side="right") - 1).tolist())


@dataclass(frozen=True, slots=True)
class Network:
    """A traced network: its operations, groups and costs. `trace` makes it.

        network = gnnrl.trace(model, example_inputs)
        print(network)  # costs, groups that can shrink, obstacles
        network.group("layer1.0.conv1").size

    Attributes:
        groups: groups that a plan decides about, in the order of the program.
        frozen: groups that stay whole, with their reasons.
        shapes: shape of every parameter and buffer.
        owners: global unit of each position [size] along (tensor, dim), 0 if it is frozen.
        offsets: global number of the first unit of each group [G + 1]; the last entry is one past the last unit.
        batch_size: samples in the example inputs; costs are given for one sample.
        unrun: modules with parameters that the example inputs do not run. They are left unchanged, so inputs that run
            them may no longer fit.
        outputs: positions of the outputs that must keep their shapes, among all tensors that the network returns; None
            for all.
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
    outputs: tuple[int, ...] | None = None

    def __str__(self) -> str:
        """Describe groups, costs, and reasons of frozen groups as a text for people."""
        return show("network as text", self) or repr(self)

    def _repr_html_(self) -> str | None:
        """Show the network in a notebook."""
        return show("network as HTML", self)

    @property
    def widths(self) -> Component:
        """Width of every group in the dense network [G]."""
        return np.array([group.size for group in self.groups], np.int64)

    def group(self, name: str) -> Group:
        """Return the group of this name."""
        return next(group for group in self.groups if group.name == name)

    def counted(self, outputs: Sequence[T]) -> list[T]:
        """Return those of all outputs that must keep their shapes."""
        return list(outputs) if self.outputs is None else [outputs[place] for place in self.outputs]

    def groups_along(self, owners: Iterable[Component]) -> set[int]:
        """Return the indices of the groups that have units in arrays of global units."""
        return groups_along(self.offsets, owners)

    def alive(self, kept: Sequence[ArrayLike]) -> NDArray[np.bool_]:
        """Return whether each unit stays [1 + U], given the kept units of each group. Entry 0 (frozen) is True."""
        alive = np.zeros(int(self.offsets[-1]), bool)
        alive[0] = True
        for offset, units in zip(self.offsets, kept, strict=False):
            alive[offset + np.asarray(units, np.int64)] = True
        return alive

    def stated(self, alive: NDArray[np.bool_]) -> list[dict[str, Any]]:
        """Return the sizes that bound attributes of the user's modules state after pruning, as JSON values."""
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
        """Return the positions that stay, for every dimension that loses some."""
        distinct = {id(owner): owner for owner in self.owners.values()}
        masks = {number: alive[owner] for number, owner in distinct.items()}
        left = {number: np.flatnonzero(mask) for number, mask in masks.items() if not mask.all()}
        return {key: left[id(owner)] for key, owner in self.owners.items() if id(owner) in left}
