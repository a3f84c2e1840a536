"""Recurrent layers and cells: LSTM, GRU and RNN with tanh or ReLU.

G = gates (4, 3 or 1), H = hidden units, I = inputs. A layer has, for each direction, weights [G · H, I] and [G · H, H]
and biases [G · H]. A hidden unit has one row for each gate. `torch.nn` has one number of hidden units for all layers
and directions of a module, so they are tied.
"""

from collections.abc import Sequence
from math import prod

from torch import fx

from gnnrl.network.labelling.operations.call import Call, Rule, extent, operation_name, tiled, vector
from gnnrl.network.labels import Component, Value
from gnnrl.network.reasons import Kind

_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
_FILLED = {"zeros", "zeros_like", "new_zeros", "ones", "ones_like", "new_ones", "full", "full_like", "new_full"}
_COPIES = {"to", "_to_copy", "clone", "contiguous", "detach", "alias", "type_as", "float"}


def layers(call: Call) -> list[Value]:
    """Run layers over a sequence [N, T, I], [T, N, I] or [T, I]. Outputs of both directions are concatenated."""
    if "batch_sizes" in call.arguments:
        return _whole(call, Kind.PACKED)
    directions, weights_each = 1 + bool(call["bidirectional"]), 4 if call["has_biases"] else 2
    params: Sequence[fx.Node] = call["params"]
    if len(params) != int(call["num_layers"]) * directions * weights_each:
        return _whole(call, Kind.PROJECTED)
    inputs, hidden = _inputs(call), None
    for first in range(0, len(params), weights_each):
        if first and first % (directions * weights_each) == 0:
            inputs = tiled(hidden, directions)
        hidden = _step(call, inputs, params[first : first + weights_each], hidden)
    _start(call, hidden)
    states = [vector(hidden, -1, shape) for shape in call.shapes[1:]]
    return [vector(tiled(hidden, directions), -1, call.shape), *states]


def cell(call: Call) -> Value | list[Value]:
    """Run one step with inputs [N, I] and states [N, H]."""
    weights = [call[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh") if call.has(name)]
    hidden = _step(call, _inputs(call), weights, None)
    _start(call, hidden)
    states = [vector(hidden, -1, shape) for shape in call.shapes]
    return states if isinstance(call.node.meta["val"], list | tuple) else states[0]


def _step(
    call: Call, inputs: Component | None, weights: Sequence[fx.Node], hidden: Component | None
) -> Component | None:
    """Tie the weights of one layer in one direction, and return the labels of its hidden units [H].

    Args:
        weights: weights of the inputs [G · H, I] and of the previous step's outputs [G · H, H], and biases.
    """
    reads, recurs = (call.value(weight, (0, 1)) for weight in weights[:2])
    for value in (reads, recurs, *(call.value(bias, (0,)) for bias in weights[2:])):
        hidden = _unit_of_gates(call, value, hidden)
    call.tie(call.along(reads, 1), inputs, Kind.FIXED_INPUT)
    call.tie(call.along(recurs, 1), hidden, Kind.FIXED_OPERAND)
    steps, gates = prod(call.shape_of("input")[:-1]), _gates(call)
    units = extent(hidden, recurs.shape[1])
    call.work(steps * gates, units, extent(inputs, reads.shape[1]))
    call.work(steps * gates, units, units)
    return hidden


def _inputs(call: Call) -> Component | None:
    value = call.value("input")
    value = call.whole(value, range(len(value.shape) - 1), Kind.WORKED_ALONG)
    return call.along(value, -1)


def _unit_of_gates(call: Call, value: Value, hidden: Component | None) -> Component | None:
    """Tie the rows [G · H] of a weight or bias across gates, and to known hidden units."""
    labels = call.along(value, 0)
    if labels is None:
        return hidden
    rows = labels.reshape(_gates(call), -1)
    first: Component = rows[0]
    call.space.tie(rows, rows[:1])
    if hidden is not None:
        call.space.tie(first, hidden)
    return first


def _gates(call: Call) -> int:
    return _GATES[call.name.removesuffix("_cell")]


def states_of(call: Call) -> list[fx.Node]:
    """Return the initial states of a layer or cell."""
    given = call["hx"] if isinstance(call["hx"], list | tuple) else [call["hx"]]
    return [node for node in given if isinstance(node, fx.Node)]


def _start(call: Call, hidden: Component | None) -> None:
    """Tie the initial states to the hidden units. A constant state is made with as many units as stay."""
    for node in states_of(call):
        value = call.value(node, (-1,))
        value = call.whole(value, range(len(value.shape) - 1), Kind.WORKED_ALONG)
        if value.components or not (made := _constant(call, node)):
            call.tie(call.along(value, -1), hidden, Kind.FIXED_STATE)
            continue
        for source in made:
            call.values[source] = vector(hidden, -1, value.shape)
            if "zeros" in operation_name(made[-1]):
                call.zeros.add(source)


def _constant(call: Call, node: fx.Node) -> list[fx.Node]:
    """Return the copies from a tensor filled with one number to a node, or nothing if there is no such tensor."""
    path = [node]
    while operation_name(path[-1]) in _COPIES and len(path[-1].all_input_nodes) == 1:
        path.append(path[-1].all_input_nodes[0])
    alike = all(call.shape_of(source) == call.shape_of(node) for source in path)
    return path if alike and operation_name(path[-1]) in _FILLED else []


def _whole(call: Call, kind: Kind) -> list[Value]:
    """Freeze all widths of layers.

    torch recognises a projection by fewer outputs than hidden units, so layers with one keep their widths.
    """
    for node in call.node.all_input_nodes:
        if call.values.get(node) is not None:
            call.freeze(call.value(node), kind)
    call.work(call.macs())
    return [Value(shape) for shape in call.shapes]


RULES: dict[str, Rule] = {**dict.fromkeys(_GATES, layers), **dict.fromkeys([f"{kind}_cell" for kind in _GATES], cell)}
