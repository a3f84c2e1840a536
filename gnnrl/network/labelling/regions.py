"""Regions of a program: operations under `torch.autocast` or another gradient mode, which `torch.export` makes one."""

import operator
from collections.abc import Iterator
from typing import Any

from torch import fx

_REGIONS = {"wrap_with_autocast", "wrap_with_set_grad_enabled"}


def flattened(module: fx.GraphModule) -> fx.Graph:
    """Return the graph of a program in which each region is replaced by the operations that it holds."""
    if not any(_is_region(node) for node in module.graph.nodes):
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
            # The arguments are the settings of the mode, the inner graph, and its operands.
            at = next(i for i, arg in enumerate(node.args) if isinstance(arg, fx.Node) and arg.op == "get_attr")
            inner = owner.get_submodule(str(node.args[at].target))
            assert isinstance(inner, fx.GraphModule)
            known[node] = _copy(inner, graph, (known.get(arg, arg) for arg in node.args[at + 1 :]))
        elif node.target is operator.getitem and _is_region(node.args[0]):
            known[node] = known[node.args[0]][node.args[1]]
        else:
            known[node] = graph.node_copy(node, known.__getitem__)
    return []
