"""Lives of a program's results: from the operation that makes a result to the last one that reads it.

A view or the result of an in-place operation shares the memory of its source. Memory of parameters, buffers and the
network's inputs is not counted. Outputs of the network live to the end.
"""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from gnnrl.network.labels import Component, Value, independent


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory that a result takes: `factor` bytes times the sizes of labelled dimensions, for the whole batch.

    Attributes:
        first: index of the operation that makes it.
        last: index of the last operation that reads it.
    """

    factor: int
    extents: tuple[Component, ...]
    first: int
    last: int


def find_buffers(graph: fx.Graph, index: Mapping[fx.Node, int], results: Sequence[Sequence[Value]]) -> list[Buffer]:
    """Collect the memory of all results.

    Args:
        index: index of each node's operation.
        results: labels of the results of each operation.
    """
    memory = {node: _memory(node) for node in graph.nodes if node.op == "call_function" or _may_be_shared(node)}
    made: dict[int, tuple[int, int, Value]] = {}
    last: dict[int, int] = {}
    foreign: set[int] = set()
    for node in graph.nodes:
        if node.op in ("placeholder", "get_attr"):
            foreign.update(key for key, _ in memory.get(node, ()))
        number = len(results) if node.op == "output" else index.get(node, -1)
        if number < 0:
            continue
        last.update((key, number) for source in node.all_input_nodes for key, _ in memory.get(source, ()))
        if node.op == "output" or node.target is operator.getitem:
            continue
        for (key, itemsize), value in zip(memory[node], results[number], strict=False):
            made.setdefault(key, (number, itemsize, value))
    return [
        _buffer(value, itemsize, number, max(last.get(key, number), number))
        for key, (number, itemsize, value) in made.items()
        if key not in foreign
    ]


def _may_be_shared(node: fx.Node) -> bool:
    """Return whether an operation that reads a node can return a view of it. Readers of plain weights cannot."""
    return any(_returns_views(user.target) for user in node.users)


@cache
def _returns_views(target: Any) -> bool:
    schema = getattr(target, "_schema", None)
    return schema is None or any(result.alias_info is not None for result in schema.returns)


def _memory(node: fx.Node) -> list[tuple[int, int]]:
    """Return (storage, bytes of an element) of each tensor of a node."""
    value: Any = node.meta.get("val")
    if isinstance(value, Tensor) and value.layout == torch.strided:
        return [(int(value.untyped_storage()._cdata), value.element_size())]
    tensors = value if isinstance(value, list | tuple) else []
    return [
        (int(tensor.untyped_storage()._cdata), tensor.element_size())
        for tensor in tensors
        if isinstance(tensor, Tensor) and tensor.layout == torch.strided
    ]


def _buffer(value: Value, itemsize: int, first: int, last: int) -> Buffer:
    extents = [np.ravel(component) for component in independent(value.components)]
    fixed = prod(value.shape) // max(prod(extent.size for extent in extents), 1)
    return Buffer(fixed * itemsize, tuple(extents), first, last)
