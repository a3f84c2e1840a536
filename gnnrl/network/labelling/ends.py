"""Ends of a program: results that become outputs of the network element by element, and results that nothing reads."""

from torch import fx

from gnnrl.network.labelling.operations import indexing, pointwise, reductions, shapes
from gnnrl.network.labelling.operations.call import operation_name

_KEEP_CHANNELS = {*pointwise.RULES, *shapes.RULES, "softmax", "log_softmax", "_softmax"}
_UNREAD = {*reductions.RULES, *shapes.RULES, *indexing.RULES}


def ends_of(graph: fx.Graph) -> set[fx.Node]:
    """Return the operations whose results only become outputs, through operations that keep all channels.

    If such an operation freezes channels, the reason is that an output keeps its size.
    """
    ends: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or (
            operation_name(node) in _KEEP_CHANNELS and node.users and ends.issuperset(node.users)
        ):
            ends.add(node)
    return ends


def unread_of(graph: fx.Graph) -> set[fx.Node]:
    """Find results that nothing reads and that cost next to nothing, such as averages that a caller discards."""
    found: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "call_function" and all(user in found for user in node.users):
            name = operation_name(node)
            if not name.endswith("_") and name in _UNREAD:
                found.add(node)
    return found
