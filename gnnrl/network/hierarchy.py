"""Hierarchical computational graphs: motifs and their instances.

A *motif* is a block that the network repeats. Level 1 is the graph of operations inside each distinct motif. Level 2 is
the graph of motif instances and of the groups that a plan decides about. A motif does not depend on widths, so equal
blocks stay equal while the network shrinks, and are embedded once. Yu et al. 2022, section 3 (hierarchical
computational graph); here motifs are found in the module tree instead of written by hand.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnrl.network.labels import Component
from gnnrl.network.structure import PRODUCTS, Network, Operation

KINDS = (
    *("convolution", "depthwise", "grouped", "transposed", "linear", "product", "norm", "activation"),
    *("add", "multiply", "concatenate", "pool", "reshape", "reduce", "other"),
)
_KIND_OF = {
    **dict.fromkeys(["linear", "embedding"], "linear"),
    **dict.fromkeys(PRODUCTS, "product"),
    **dict.fromkeys(["batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm"], "norm"),
    **dict.fromkeys(["relu", "gelu", "silu", "sigmoid", "hardswish", "hardsigmoid", "tanh", "softmax"], "activation"),
    **dict.fromkeys(["hardtanh", "leaky_relu", "elu", "mish", "prelu", "relu6"], "activation"),
    **dict.fromkeys(["add", "sub"], "add"),
    **dict.fromkeys(["mul", "div"], "multiply"),
    **dict.fromkeys(["cat", "stack", "pad"], "concatenate"),
    **dict.fromkeys(["view", "reshape", "flatten", "permute", "transpose", "unflatten", "slice", "chunk"], "reshape"),
    **dict.fromkeys(["mean", "sum", "amax", "max"], "reduce"),
}
OPERATION_FEATURES = (*KINDS, "log_kernel", "log_stride", "log_expansion", "position", "reads_outside", "feeds_outside")
EDGES = ("dataflow", "dataflow_reverse", "member", "member_reverse")
"""Meanings of an edge of level 2: an instance feeds an instance, or a group lives in an instance."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One occurrence of a motif: its operations, and the groups with channels in it."""

    motif: int
    name: str
    operations: tuple[int, ...]
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Motifs and instances of a network, and the part of its observations that does not depend on widths.

    Attributes:
        motifs: operations of the first instance of each motif.
        members: instances of each group.
        edge_types: index of each edge's meaning in `EDGES`.
    """

    network: Network
    motifs: tuple[tuple[int, ...], ...]
    instances: tuple[Instance, ...]
    members: tuple[tuple[int, ...], ...]
    operation_x: NDArray[np.float32]
    operation_edges: Component
    operation_motif: Component
    edges: Component
    edge_types: Component


def find_hierarchy(network: Network) -> Hierarchy:
    """Find the motifs of a network in its module tree, and the graph of their instances."""
    blocks = _blocks(network)
    signatures: dict[tuple[Any, ...], int] = {}
    instances = []
    of_operation = np.zeros(len(network.operations), np.int64)
    by_tensor = _groups_by_tensor(network)
    read = {tensor for operation in network.operations for tensor in operation.parameters.values()}
    # Weights in a list of operands (`einsum`) have no name among the parameters: their groups live where they pass.
    passing = set(range(len(network.groups))) - set().union(*(by_tensor[tensor] for tensor in read))
    for index, (name, operations) in enumerate(blocks):
        motif = signatures.setdefault(_signature(network, operations), len(signatures))
        tensors = {tensor for number in operations for tensor in network.operations[number].parameters.values()}
        results = (result for number in operations for result in network.operations[number].results)
        along = network.groups_along(axis.owner for _, axes in results for axis in axes) if passing else set()
        groups = sorted((along & passing).union(*(by_tensor[tensor] for tensor in tensors)))
        instances.append(Instance(motif, name, tuple(operations), tuple(groups)))
        of_operation[operations] = index
    motifs = tuple(next(i.operations for i in instances if i.motif == motif) for motif in range(len(signatures)))
    members = tuple(
        tuple(index for index, instance in enumerate(instances) if group in instance.groups)
        for group in range(len(network.groups))
    )
    edges, types = _level_two_edges(network, of_operation, members, len(instances))
    x, operation_edges, operation_motif = _level_one(network, motifs)
    return Hierarchy(network, motifs, tuple(instances), members, x, operation_edges, operation_motif, edges, types)


def _blocks(network: Network) -> list[tuple[str, list[int]]]:
    """Partition the operations: repeated modules with several layers, and each other layer with its neighbours."""
    inside: dict[str, list[int]] = {}
    for operation in network.operations:
        for path, _ in operation.modules:
            inside.setdefault(path, []).append(operation.index)
    # Count the modules of each signature that have several layers.
    signatures = {
        path: _signature(network, operations)
        for path, operations in inside.items()
        if path and sum(network.operations[number].is_layer for number in operations) > 1
    }
    counts = Counter(signatures.values())
    # Assign each operation to its innermost repeated module, to itself if it is a layer, or to its last source's block.
    found: dict[str, list[int]] = {}
    owner: dict[int, str] = {}
    whole: set[str] = set()
    for operation in network.operations:
        repeated = [path for path, _ in operation.modules if path in signatures and counts[signatures[path]] > 1]
        if repeated:
            name = repeated[-1]
            whole.add(name)
        elif operation.is_layer or not operation.inputs or owner[max(operation.inputs)] in whole:
            name = f"{operation.module or operation.name}#{operation.index}"
        else:
            name = owner[max(operation.inputs)]
        owner[operation.index] = name
        found.setdefault(name, []).append(operation.index)
    return [(name.partition("#")[0], operations) for name, operations in found.items()]


def _signature(network: Network, operations: Sequence[int]) -> tuple[Any, ...]:
    """Return the facts that two blocks of one motif share: kinds, kernels, strides and dataflow, but no widths."""
    place = {number: position for position, number in enumerate(operations)}
    rows = []
    for number in operations:
        operation = network.operations[number]
        inner = tuple(place[source] for source in operation.inputs if source in place)
        facts = (_kind(network, operation), *(round(value, 2) for value in _facts(network, operation)[:2]))
        rows.append((operation.name, facts, inner, len(operation.inputs) - len(inner)))
    return tuple(rows)


def _facts(network: Network, operation: Operation) -> tuple[float, float, float]:
    """Return logarithms of the kernel's size, of the stride, and of the ratio of output to input channels."""
    weight = network.shapes.get(operation.parameters.get("weight", ""), ())
    kernel = prod(weight[2:]) if len(weight) > 2 else 1
    stride = operation.settings.get("stride") or 1
    steps = stride if isinstance(stride, int) else max(stride, default=1)
    growth = 0.0
    if len(weight) >= 2:
        growth = log2(weight[0] / (weight[1] * int(operation.settings.get("groups", 1) or 1)))
    return log2(kernel), log2(steps), growth


def _kind(network: Network, operation: Operation) -> str:
    if "conv" in operation.name and "weight" in operation.parameters:
        groups, weight = operation.settings.get("groups", 1), network.shapes[operation.parameters["weight"]]
        if "transpose" in operation.name:
            return "transposed"
        if groups == 1:
            return "convolution"
        return "depthwise" if weight[1] == 1 else "grouped"
    return _KIND_OF.get(operation.name, "pool" if "pool" in operation.name else "other")


def _level_one(network: Network, motifs: Sequence[Sequence[int]]) -> tuple[NDArray[np.float32], Component, Component]:
    fed = {source: reader.index for reader in network.operations for source in reader.inputs}
    rows: list[list[float]] = []
    edges: list[tuple[int, int]] = []
    owners: list[int] = []
    for motif, operations in enumerate(motifs):
        place = {number: len(rows) + position for position, number in enumerate(operations)}
        for position, number in enumerate(operations):
            operation = network.operations[number]
            one_hot = [float(_kind(network, operation) == kind) for kind in KINDS]
            outside = [float(any(source not in place for source in operation.inputs) or not operation.inputs)]
            outside.append(float(fed.get(number, -1) not in place))
            rows.append([*one_hot, *_facts(network, operation), position / max(len(operations) - 1, 1), *outside])
            edges += [(place[source], place[number]) for source in operation.inputs if source in place]
            owners.append(motif)
    return (
        np.array(rows, np.float32).reshape(-1, len(OPERATION_FEATURES)),
        np.array(edges, np.int64).reshape(-1, 2).T,
        np.array(owners, np.int64),
    )


def _groups_by_tensor(network: Network) -> defaultdict[str, set[int]]:
    found = defaultdict[str, set[int]](set)
    for group in network.groups:
        for place in group.places:
            found[place.tensor].add(group.index)
    return found


def _level_two_edges(
    network: Network, of_operation: Component, members: Sequence[Sequence[int]], instances: int
) -> tuple[Component, Component]:
    flow = {
        (int(of_operation[source]), int(of_operation[operation.index]))
        for operation in network.operations
        for source in operation.inputs
        if of_operation[source] != of_operation[operation.index]
    }
    belongs = {(instance, instances + group) for group, found in enumerate(members) for instance in found}
    edges, types = [], []
    for name, pairs in (("dataflow", flow), ("member", belongs)):
        for a, b in sorted(pairs):
            edges += [(a, b), (b, a)]
            types += [EDGES.index(name), EDGES.index(f"{name}_reverse")]
    return np.array(edges, np.int64).reshape(-1, 2).T, np.array(types, np.int64)
