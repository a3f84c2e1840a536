"""Calls: operations of the program as rules see them, with arguments by name, their labels, and the line of code.

A rule is a function `(Call) -> Value | list[Value]`. It reads labels with `call.value`, ties and freezes them, states
the MACs with `call.work`, and returns the labels of the output.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from torch import Tensor, fx
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from gnnrl.network.labels import Component, LabelSpace, Value, wide
from gnnrl.network.reasons import Kind, Reason


@dataclass(frozen=True, slots=True)
class Work:
    """MACs of one operation for the whole batch: `factor` times the sizes of labelled dimensions."""

    operation: int
    factor: int
    extents: tuple[Component, ...]


@dataclass(slots=True)
class Tensors:
    """Labels of parameters and buffers. The labels of a dimension are made when a rule first reads them."""

    shapes: dict[str, tuple[int, ...]]
    space: LabelSpace
    labels: dict[tuple[str, int], Component] = field(default_factory=dict)
    made: list[Component] = field(default_factory=list)
    _uses: dict[str, list[set[int]]] = field(default_factory=dict)

    def value(self, name: str, dims: Sequence[int]) -> Value:
        """Return the labels of a parameter whose dimensions `dims` can shrink in this use."""
        shape = self.shapes[name]
        wanted = [dim % len(shape) for dim in dims if shape[dim] > 1]
        self._uses.setdefault(name, []).append(set(wanted))
        components = []
        for dim in wanted:
            if (name, dim) not in self.labels:
                self.labels[name, dim] = self.space.fresh(shape[dim])
            components.append(self.labels[name, dim].reshape([-1 if d == dim else 1 for d in range(len(shape))]))
        return Value(shape, tuple(components))

    def freeze_disagreements(self) -> None:
        """Freeze dimensions that can shrink in one use of a parameter but not in another, and those of no parameter."""
        for (name, dim), labels in self.labels.items():
            if any(dim not in use for use in self._uses[name]):
                self.space.freeze(labels, Reason(Kind.SEVERAL_USES, detail=name))
        if self.made:
            units = self.space.units()
            stored = units[np.concatenate([np.empty(0, np.int64), *self.labels.values()])]
            for labels in self.made:
                self.space.freeze(labels[~np.isin(units[labels], stored)], Reason(Kind.FIXED_PART))


@dataclass(slots=True)
class Call:
    """One operation of the exported program, with its arguments by the names in the operator's schema.

    Attributes:
        zeros: results that are zero in removed channels, see `zeros`.
        weights: parameters, buffers, and results that are computed from only these.
        ends: operations whose results become outputs with all of their channels, see `ends_of`.
        plain: names of tensors that are plain attributes of modules, and of what is computed from one alone.
        filled: results that are filled with one number. Their sizes follow other tensors if probes confirm it.
    """

    node: fx.Node
    index: int
    name: str
    module: str
    location: str
    arguments: dict[str, Any]
    values: dict[fx.Node, Any]
    tensors: Tensors
    works: list[Work]
    zeros: set[fx.Node]
    weights: set[fx.Node]
    filled: set[fx.Node]
    ends: set[fx.Node]
    plain: dict[fx.Node, str]

    @property
    def space(self) -> LabelSpace:
        """All labels of the network."""
        return self.tensors.space

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return self.shapes[0]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all outputs."""
        result = self.node.meta["val"]
        return [tuple(item.shape) for item in (result if isinstance(result, list | tuple) else [result])]

    def __getitem__(self, name: str) -> Any:
        """Return an argument as the program gives it."""
        return self.arguments[name]

    def has(self, name: str) -> bool:
        """Return whether a tensor argument is given."""
        return isinstance(self.arguments.get(name), fx.Node)

    def shape_of(self, argument: str | fx.Node) -> tuple[int, ...]:
        """Return the shape of a tensor argument."""
        return tuple(self._node(argument).meta["val"].shape)

    def parameter(self, argument: str | fx.Node) -> str | None:
        """Return the name of the parameter or buffer that the argument is, or None if it is computed."""
        value = self.values.get(self._node(argument))
        return value if isinstance(value, str) else None

    def value(self, argument: str | fx.Node, dims: Sequence[int] | None = None) -> Value:
        """Return the labels of a tensor argument; for a parameter those of `dims`, by default of all dimensions."""
        value = self.values[self._node(argument)]
        if isinstance(value, str):
            return self.tensors.value(value, range(len(self.tensors.shapes[value])) if dims is None else dims)
        assert isinstance(value, Value), f"{argument} of {self.name} is not a tensor"
        return value

    def operands(self) -> dict[str, Value]:
        """Return the labels of the computed tensors among the arguments."""
        nodes = {name: node for name, node in self.arguments.items() if isinstance(node, fx.Node)}
        return {name: value for name, node in nodes.items() if isinstance(value := self.values.get(node), Value)}

    def along(self, value: Value, dim: int) -> Component | None:
        """Return the labels along one dimension, or None if its size is fixed."""
        return self.space.along(value, dim, self.reason(Kind.SEVERAL_DIMENSIONS))

    def stored(self, argument: str | fx.Node) -> bool:
        """Return whether a tensor argument is a parameter or buffer, or computed from only these."""
        return self._node(argument) in self.weights

    def is_sizeless(self, node: fx.Node) -> bool:
        """Return whether a tensor is filled with one number and has no use yet that states its size."""
        return node in self.filled and not self.value(node).components

    def adopt(self, node: fx.Node, value: Value) -> None:
        """Give a tensor that is filled with one number the labels of its first use, which state its size."""
        shape = self.shape_of(node)
        skipped = len(value.shape) - len(shape)
        known = {dim for dim, size in enumerate(shape, skipped) if size == value.shape[dim]}
        components = (component for component in value.components if wide(component) <= known)
        self.values[node] = Value(
            shape, tuple(component.reshape(component.shape[skipped:]) for component in components)
        )

    def vanishes(self, argument: str | fx.Node) -> bool:
        """Return whether a tensor argument is zero in removed channels."""
        return self._node(argument) in self.zeros or self.parameter(argument) is not None

    def reason(self, kind: Kind) -> Reason:
        """Return a reason with the name, module and line of this operation."""
        name = next((self.plain[source] for source in self.node.all_input_nodes if source in self.plain), "")
        if self.node in self.ends:
            kind = Kind.OUTPUT
        elif kind is Kind.FIXED_OPERAND and name:
            return Reason(Kind.PLAIN_TENSOR, self.name, self.module, self.location, name)
        return Reason(kind, self.name, self.module, self.location)

    def freeze(self, value: Value, kind: Kind, dims: Sequence[int] | None = None) -> None:
        """Freeze all channels of a tensor, or those of some dimensions."""
        for component in value.components:
            if dims is None or any(component.shape[dim] > 1 for dim in dims):
                self.space.freeze(component, self.reason(kind))

    def whole(self, value: Value, dims: Iterable[int], kind: Kind) -> Value:
        """Keep all positions of some dimensions: tie labels along them if they vary along others, too, else freeze.

        Returns:
            The labels that do not vary along these dimensions.
        """
        wanted = {dim % len(value.shape) for dim in dims}
        kept = []
        for component in value.components:
            if wide(component) <= wanted:
                self.space.freeze(component, self.reason(kind))
            else:
                kept.append(self.space.pin(component, wanted))
        return Value(value.shape, tuple(kept))

    def tie(self, a: Component | None, b: Component | None, kind: Kind) -> None:
        """Tie two vectors of labels. If one has a fixed size, freeze the other."""
        if a is not None and b is not None:
            self.space.tie(a, b)
        else:
            for labels in (a, b):
                if labels is not None:
                    self.space.freeze(labels, self.reason(kind))

    def tie_bias(self, output: Component | None) -> None:
        """Tie the bias, if there is one, to the labels of the output's channels."""
        if output is not None and self.has("bias") and self.is_sizeless(self["bias"]):
            self.adopt(self["bias"], Value((len(output),), (output,)))
        elif self.has("bias"):
            self.tie(self.along(self.value("bias", (0,)), 0), output, Kind.FIXED_OPERAND)

    def results(self, components: Sequence[Component] = ()) -> "Value | list[Value]":
        """Return the same labels for every output: a list if the operation makes a list of tensors."""
        results = [Value(shape, tuple(components)) for shape in self.shapes]
        return results if isinstance(self.node.meta["val"], list | tuple) else results[0]

    def work(self, factor: int, *extents: Component | int | None) -> None:
        """State the MACs: a factor times fixed sizes and sizes of labelled dimensions."""
        fixed = prod(extent for extent in extents if isinstance(extent, int))
        labelled = tuple(np.ravel(extent) for extent in extents if isinstance(extent, np.ndarray))
        self.works.append(Work(self.index, factor * fixed, labelled))

    def macs(self) -> int:
        """Return the MACs of the dense operation as torch counts them, on fake tensors.

        An operation whose result depends on values, such as `torch.equal`, does not run on them. It counts as zero.
        """
        if any(not source.meta.keys() & {"val", "graph"} for source in self.node.all_input_nodes):
            return 0
        known = fx.map_arg(
            (self.node.args, self.node.kwargs), lambda source: source.meta.get("val", source.meta.get("graph"))
        )
        # torch's counter hooks into graphs of gradients, which there are none of here
        args, kwargs = tree_map_only(Tensor, Tensor.detach, known)
        mode = detect_fake_mode((args, kwargs))
        if mode is None or not callable(self.node.target):
            return 0
        depends_on_values = suppress(DataDependentOutputException, DynamicOutputShapeException)
        with depends_on_values, mode, FlopCounterMode(display=False) as counter:
            self.node.target(*args, **kwargs)
        return int(counter.get_total_flops()) // 2

    def _node(self, argument: str | fx.Node) -> fx.Node:
        node = self.arguments[argument] if isinstance(argument, str) else argument
        assert isinstance(node, fx.Node), f"{argument} of {self.name} is not a tensor"
        return node


def operation_name(node: fx.Node) -> str:
    """Return the name of an operation without namespace and overload: `conv2d` for `aten.conv2d.default`."""
    target: Any = node.target
    schema = getattr(target, "_schema", None)
    if schema is None:
        return getattr(target, "__name__", str(target))
    namespace, _, name = schema.name.partition("::")
    return name if namespace == "aten" else f"{namespace}.{name}"


Rule = Callable[[Call], "Value | list[Value]"]


def vector(labels: Component | None, dim: int, shape: Sequence[int]) -> Value:
    """Return a value of this shape with labels along one dimension."""
    if labels is None or len(labels) == 1:
        return Value(tuple(shape))
    return Value(tuple(shape), (labels.reshape([-1 if d == dim % len(shape) else 1 for d in range(len(shape))]),))


def repeated(call: Call, value: Value, source: int, times: int, target: int) -> Value:
    """Return a value whose dimension `target` has each label along `source` several times in a row."""
    labels = _only(call, value, source)
    return vector(None if labels is None else np.repeat(labels, times), target, call.shape)


def merged(call: Call, value: Value, source: int, times: int, target: int) -> Value:
    """Return the inverse of `repeated`: consecutive labels along `source` are tied and become one along `target`."""
    labels = _only(call, value, source)
    rows = None if labels is None else labels.reshape(-1, times)
    return vector(None if rows is None else call.space.pin(rows, [1]).ravel(), target, call.shape)


def _only(call: Call, value: Value, dim: int) -> Component | None:
    """Return the labels along one dimension; all other dimensions are kept whole."""
    rank = len(value.shape)
    return call.along(call.whole(value, set(range(rank)) - {dim % rank}, Kind.WORKED_ALONG), dim)


def extent(labels: Component | None, size: int) -> Component | int:
    """Return what `Call.work` needs of a dimension: its labels, or its size if it is fixed."""
    return size if labels is None else labels


def tiled(labels: Component | None, times: int) -> Component | None:
    """Return labels several times one after another."""
    return None if labels is None else np.tile(labels, times)


def passed(value: Value, shape: Sequence[int]) -> Value:
    """Return the same labels for a tensor of another shape along fixed dimensions."""
    return Value(tuple(shape), value.components)
