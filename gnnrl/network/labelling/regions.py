"""Regions of a program: graphs that `torch.export` keeps as one operation, and that are read as what they hold.

Operations under `torch.autocast` or another gradient mode are such a region. `torch.cond` has two: both are read, and
its results are chosen element by element, as `torch.where` chooses. The multiply-accumulates of both count.
"""

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx

_REGIONS = {"wrap_with_autocast", "wrap_with_set_grad_enabled", "cond"}


def flattened(module: fx.GraphModule) -> fx.Graph:
    """Return the graph of a program in which each region is replaced by the operations that it holds."""
    if not any(node.op == "get_attr" for node in module.graph.nodes):
        return module.graph
    graph = fx.Graph()
    _copy(module, graph, None)
    return graph


def _is_region(node: Any) -> bool:
    return isinstance(node, fx.Node) and getattr(node.target, "__name__", "") in _REGIONS


def _copy(owner: fx.GraphModule, graph: fx.Graph, operands: Iterator[Any] | None) -> list[Any]:
    """Copy the nodes of a region, or of the program (without operands), to a graph. Return the results there."""
    known: dict[fx.Node, Any] = {}
    for node in owner.graph.nodes:
        if node.op == "placeholder" and operands is not None:
            known[node] = next(operands)
        elif node.op == "output" and operands is not None:
            return [known.get(result) for result in node.args[0]]
        elif _is_region(node):
            known[node] = _inlined(owner, node, graph, known)
        elif node.target is operator.getitem and _is_region(node.args[0]):
            known[node] = known[node.args[0]][node.args[1]]
        else:
            known[node] = graph.node_copy(node, known.__getitem__)
            if node.op == "get_attr":
                known[node].meta["graph"] = getattr(owner, str(node.target), None)
    return []


def _inlined(owner: fx.GraphModule, node: fx.Node, graph: fx.Graph, known: dict[fx.Node, Any]) -> list[Any]:
    """Copy what a region holds to a graph, and return its results; of two branches, a choice for each result."""
    places = [at for at, arg in enumerate(node.args) if isinstance(arg, fx.Node) and arg.op == "get_attr"]
    inner: list[Any] = [owner.get_submodule(str(node.args[at].target)) for at in places]  # type: ignore[union-attr]
    operands: Any = node.args[places[-1] + 1 :]
    if len(inner) == 1:
        # The arguments are the settings of the mode, the inner graph, and its operands.
        return _copy(inner[0], graph, (known.get(arg, arg) for arg in operands))
    # The arguments are the condition, both graphs, and a list of their operands.
    branches = [_copy(each, graph, (known.get(arg, arg) for arg in operands[0])) for each in inner]
    condition: Any = known.get(node.args[0], node.args[0])  # type: ignore[arg-type]
    results = []
    for at, pair in enumerate(zip(*branches, strict=True)):
        chosen = graph.call_function(torch.ops.aten.where.self, (condition, *pair))
        chosen.meta = {**node.meta, "val": node.meta["val"][at]}
        results.append(chosen)
    return results
