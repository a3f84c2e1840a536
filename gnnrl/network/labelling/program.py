"""Labelling of an exported program: its operations are run on labels instead of activations."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import fx, nn
from torch.export.graph_signature import InputKind, OutputKind

from gnnrl.modules.layers import find_unrun
from gnnrl.modules.locations import last_user_line
from gnnrl.network.labelling.ends import ends_of, unread_of
from gnnrl.network.labelling.groups import Grouping, find_groups
from gnnrl.network.labelling.kinds import kinds_of
from gnnrl.network.labelling.liveness import find_buffers
from gnnrl.network.labelling.nodes import arguments_of, enclosing_modules
from gnnrl.network.labelling.operations.call import Call, Tensors, Work, operation_name, vector
from gnnrl.network.labelling.operations.normalisation import is_over_channels
from gnnrl.network.labelling.operations.reductions import is_average
from gnnrl.network.labelling.operations.registry import RULES
from gnnrl.network.labelling.operations.zeros import is_filled, is_labelled, leaves_zero
from gnnrl.network.labelling.recording import axes_of, fingerprint_of, recorded
from gnnrl.network.labelling.regions import flattened
from gnnrl.network.labelling.shares import stored_weight, with_shares
from gnnrl.network.labels import Component, LabelSpace, Value
from gnnrl.network.reasons import Kind, Reason
from gnnrl.network.structure import Axis, Network, Operation

_FREE = {"sym_size", "_assert_async", "_assert_scalar", "_assert_tensor_metadata"}


class Labelling:
    """The result of running a program on labels."""

    def __init__(
        self,
        model: nn.Module,
        program: torch.export.ExportedProgram,
        batch_size: int,
        outputs: tuple[int, ...] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.outputs = outputs
        self.model = model
        self.program = program
        self.batch_size = batch_size
        parameters = list(model.named_parameters(remove_duplicate=False))
        everything = [*parameters, *model.named_buffers(remove_duplicate=False)]
        self.first_names = _first_names(everything)
        self.stored = {name: tensor for name, tensor in everything if self.first_names[name] == name}
        self.trainable = {self.first_names[name] for name, _ in parameters}
        self.tensors = Tensors({name: tuple(tensor.shape) for name, tensor in self.stored.items()}, LabelSpace())
        self.values: dict[fx.Node, Any] = {}
        self.works: list[Work] = []
        self.zeros: set[fx.Node] = set()
        self.weights: set[fx.Node] = set()
        self.tables: set[fx.Node] = set()
        self.plain: dict[fx.Node, str] = {}
        self.filled: set[fx.Node] = set()
        self.operations: list[Operation] = []
        self.nodes: list[fx.Node] = []
        self.operands: list[dict[str, Value]] = []
        self.averaged: dict[int, fx.Node] = {}
        self._index: dict[fx.Node, int] = {}
        self.graph = flattened(program.graph_module)
        self.unread, self.ends = unread_of(self.graph), ends_of(self.graph) if outputs is None else set()
        self._specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs if hasattr(spec.arg, "name")}
        for node in self.graph.nodes:
            check()
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "call_function":
                self._call(node)
            elif node.op == "output":
                self._output(node)
        self.tensors.freeze_disagreements()

    def _labels(self, network: Network, group: int) -> Component:
        """Return the labels of a group at its first place [units, k]."""
        place = network.groups[group].places[0]
        return self.tensors.labels[place.tensor, place.dim][place.positions]

    def tie(self, network: Network, pairs: Sequence[tuple[int, int]]) -> None:
        """Tie a block of units of the first group of each pair to every unit of the second."""
        for group, base in pairs:
            rows = self._labels(network, group)[:, 0].reshape(network.groups[base].size, -1)
            self.tensors.space.tie(rows, self._labels(network, base)[:, :1])

    def freeze(self, network: Network, groups: Mapping[int, Reason]) -> None:
        """Freeze groups of a network that `network` returned, each for a reason."""
        labels = [self._labels(network, index).ravel() for index in groups]
        spared = self.tensors.space.even_out(np.array([each[0] for each in labels], np.int64))
        for each, reason, even in zip(labels, groups.values(), spared.tolist(), strict=True):
            if not even:
                self.tensors.space.freeze(each, reason)

    def network(self) -> Network:
        """Collect the operations, groups and costs."""
        results = [value if isinstance(value := self.values[node], list) else [value] for node in self.nodes]
        itemsizes = {name: tensor.element_size() for name, tensor in self.stored.items()}
        buffers = find_buffers(self.graph, self._index, results)
        found = find_groups(self.tensors, self.works, buffers, itemsizes, self.trainable, self.batch_size)

        operations = tuple(
            replace(
                operation,
                axes=axes_of(first, found),
                is_filled=node in self.filled,
                averaged=self._averaged(operation.index, found),
                others=tuple((other.shape, axes_of(other, found)) for other in others),
                operands={name: (value.shape, axes_of(value, found)) for name, value in read.items()},
            )
            for operation, node, (first, *others), read in zip(
                self.operations, self.nodes, results, self.operands, strict=True
            )
        )
        values = {work.operation: self._touched(work.operation) for work in self.works}
        groups, frozen = with_shares(found, operations, self._stored_weights(), self.tensors, values)
        read = {value for node in self.weights if node.users and isinstance(value := self.values[node], str)}
        kinds = kinds_of(found.groups, operations, found.offsets, self.tensors.shapes)
        return Network(
            model_class=type(self.model).__name__,
            operations=operations,
            groups=tuple(replace(group, kind=kind) for group, kind in zip(groups, kinds, strict=True)),
            frozen=tuple(frozen),
            shapes=self.tensors.shapes,
            owners=found.owners,
            offsets=found.offsets,
            cost=found.cost,
            batch_size=self.batch_size,
            outputs=self.outputs,
            fingerprint=fingerprint_of(self.tensors.shapes, self.operations, self.outputs),
            unrun=find_unrun([name for name in self.first_names if name in self.trainable], read),
        )

    def _known(self, node: fx.Node) -> Any:
        """Return the labels of a node; those of a parameter or buffer that some rule has read."""
        known = self.values.get(node)
        if not isinstance(known, str):
            return known
        shape = self.tensors.shapes[known]
        labels = {dim: self.tensors.labels.get((known, dim)) for dim in range(len(shape))}
        return Value(shape, tuple(part for dim in labels for part in vector(labels[dim], dim, shape).components))

    def _touched(self, index: int) -> list[Value]:
        """Return the labels of the results of an operation, then those of the tensors that it reads."""
        found = []
        for node in (self.nodes[index], *self.nodes[index].all_input_nodes):
            known = self._known(node)
            found += [value for value in (known if isinstance(known, list) else [known]) if isinstance(value, Value)]
        return found

    def _averaged(self, index: int, found: Grouping) -> tuple[tuple[int, ...], tuple[Axis, ...]] | None:
        """Return shape and axes of the tensor that an operation averages, None if it averages none."""
        if index not in self.averaged:
            return None
        value = self._known(self.averaged[index])
        return (value.shape, axes_of(value, found)) if isinstance(value, Value) else None

    def _stored_weights(self) -> dict[int, str]:
        """Return the stored weight of each operation that has one."""
        weights = [(index, _weight(arguments_of(node))) for index, node in enumerate(self.nodes)]
        nodes = ((index, weight) for index, weight in weights if isinstance(weight, fx.Node))
        return {index: stored_weight(weight, self.values, self.weights) for index, weight in nodes}

    def _placeholder(self, node: fx.Node) -> None:
        spec = self._specs[node.name]
        value = node.meta.get("val")
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and spec.target in self.first_names:
            self.values[node] = self.first_names[spec.target]
            self.weights.add(node)
            if self.first_names[spec.target] not in self.trainable:
                self.tables.add(node)
        else:
            self.values[node] = Value(tuple(value.shape)) if isinstance(value, torch.Tensor) else value
            if spec.kind == InputKind.CONSTANT_TENSOR:
                self.weights.add(node)
                owner, _, name = str(spec.target).rpartition(".")
                if name in vars(dict(self.model.named_modules()).get(owner, self.model)):
                    self.plain[node] = str(spec.target)

    def _output(self, node: fx.Node) -> None:
        specs = self.program.graph_signature.output_specs
        returned = [spec.kind is OutputKind.USER_OUTPUT for spec in specs]
        first, results = returned.index(True) if True in returned else 0, cast("Sequence[Any]", node.args[0])
        tensors = [source for source in results[first:] if isinstance(source, fx.Node)]
        counted = tensors if self.outputs is None else [tensors[place] for place in self.outputs]
        for source in (*results[:first], *counted):
            value = self.values[source]
            if isinstance(value, str):
                value = self.tensors.value(value, range(len(self.tensors.shapes[value])))
            if isinstance(value, Value):
                for component in value.components:
                    self.tensors.space.freeze(component, Reason(Kind.OUTPUT))

    def _call(self, node: fx.Node) -> None:
        if node.target is operator.getitem:
            source, position = node.args
            self.values[node] = self.values[source][position]  # type: ignore[index]
            self._index[node] = self._index.get(source, -1)  # type: ignore[arg-type]
            for known in (self.zeros, self.weights, self.tables, self.filled):
                known |= {node} if source in known else set()
            return
        if not _holds_tensors(node.meta.get("val")) or operation_name(node) in _FREE or node in self.unread:
            self.values[node] = None
            return
        modules = enclosing_modules(node)
        call = self._read(node, modules[-1][0] if modules else "")
        self.operations.append(recorded(call, modules, self._index))
        self.nodes.append(node)
        self._index[node] = call.index
        rule = RULES.get(call.name) or RULES.get(call.name.removesuffix("_"))
        self.values[node] = rule(call) if rule else _without_rule(call)
        self.operands.append(call.operands() if self.works and self.works[-1].operation == call.index else {})
        if is_over_channels(call) or is_average(call):
            self.averaged[call.index] = node.all_input_nodes[0]
        if rule and leaves_zero(call):
            self.zeros.add(node)
        self._follow_weights(call)

    def _follow_weights(self, call: Call) -> None:
        """Note a result that is computed from only weights and constants, or whose labels are those of buffers."""
        sources = [source for source in call.node.all_input_nodes if self.values.get(source) is not None]
        if self.weights.issuperset(sources):
            self.weights.add(call.node)
        if len(sources) == 1 and sources[0] in self.plain:
            self.plain[call.node] = self.plain[sources[0]]
        if is_filled(call.node, self.filled):
            self.filled.add(call.node)
        labelled = [source for source in sources if is_labelled(self.values[source])]
        if labelled and self.tables.issuperset(labelled) and "weight" not in call.arguments:
            self.tables.add(call.node)
            self.weights.add(call.node)

    def _read(self, node: fx.Node, module: str) -> Call:
        return Call(
            node=node,
            index=len(self.operations),
            name=operation_name(node),
            module=module,
            location=last_user_line(node.meta.get("stack_trace") or ""),
            arguments=arguments_of(node),
            values=self.values,
            tensors=self.tensors,
            works=self.works,
            zeros=self.zeros,
            weights=self.weights,
            filled=self.filled,
            ends=self.ends,
            plain=self.plain,
        )


def _first_names(everything: Sequence[tuple[str, torch.Tensor]]) -> dict[str, str]:
    """Map each name of a parameter or buffer to its first name, because tied parameters are one tensor."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(tensor), name) for name, tensor in everything}


def _without_rule(call: Call) -> Value | list[Value]:
    """Freeze everything that an unknown operation reads. Its outputs and its MACs are constant."""
    call.work(call.macs())
    for source in call.node.all_input_nodes:
        if isinstance(call.values.get(source), str | Value):
            call.freeze(call.value(source), Kind.NO_RULE)
    return call.results()


def _weight(arguments: Mapping[str, Any]) -> Any:
    """Return the weight that makes an operation's channels: for a recurrent layer the first one of its inputs."""
    return arguments.get("weight") or arguments.get("w_ih") or (arguments.get("params") or [None])[0]


def _holds_tensors(result: Any) -> bool:
    items = result if isinstance(result, list | tuple) else [result]
    return bool(items) and all(isinstance(item, torch.Tensor) for item in items)
