"""Tensors that would be zero in removed channels if the channels' weights were set to zero instead.

Call a network *masked* if the weights of removed channels are zero; what these weights compute is zero, too. A sum over
channels (`sum`, the inner dimension of a matrix product) can lose a channel only if the channel adds nothing in the
masked network: `(q * k).sum(1)` can, `x.sigmoid().sum(1)` cannot, because sigmoid(0) is one half.
"""

from torch import fx

from gnnrl.network.labelling.operations import indexing, pointwise, recurrent, reductions, shapes
from gnnrl.network.labelling.operations.call import Call, operation_name
from gnnrl.network.labels import Value

_FILLS = {"zeros", "ones", "full", "new_zeros", "new_ones", "new_full"}
_UNEVEN = {"cat", "concat", "concatenate", "stack", "pad", "constant_pad_nd"}
_KEEP_FILLED = {*pointwise.RULES, *indexing.RULES, *shapes.RULES} - _UNEVEN
_FUNCTIONS = """
    relu relu6 gelu silu hardswish tanh leaky_relu elu selu celu mish hardshrink softshrink tanhshrink rrelu
    expm1 log1p sqrt abs neg sign square sin erf ceil floor round trunc frac prelu positive
    dropout feature_dropout contiguous clone alias detach to _to_copy type_as float half nan_to_num
"""
_REDUCTIONS = {*reductions.RULES} - {"prod", "logsumexp"}
_KEEP_ZERO = {*_FUNCTIONS.split(), *_REDUCTIONS, *shapes.RULES, *indexing.RULES}
"""Operations whose output is zero if their inputs are zero."""
_SUMS = """
    add sub maximum minimum matmul bmm mm einsum tensordot mv outer addmm baddbmm
    _weight_norm cumsum tril triu im2col col2im repeat_interleave channel_shuffle
"""
_ALL = {*_SUMS.split()}
"""The same, unless an operand is a number other than zero."""
_WEIGHTED = {"batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm", "embedding"}


def leaves_zero(call: Call) -> bool:
    """Return whether an operation's output is zero in removed channels."""
    name = call.name.removesuffix("_")
    if call.filled.intersection(call.arguments.get(argument) for argument in ("weight", "bias")):
        return False
    if name in _WEIGHTED or "conv" in name:
        return call.has("weight")
    if name == "linear":
        carried = [component for component in call.value("input", ()).components if component.shape[-1] == 1]
        return not carried or (_zero(call, call["input"]) and not call.has("bias"))
    if name in recurrent.RULES:
        return all(isinstance(call.values[node], str) or node in call.zeros for node in recurrent.states_of(call))
    if name == "expand_as":
        return False
    tensors = [node for node in call.node.all_input_nodes if isinstance(call.values.get(node), str | Value)]
    if name == "mul":
        return any(is_labelled(call.values[node]) and _zero(call, node) for node in tensors)
    if name == "scaled_dot_product_attention":
        return _zero(call, call["value"])
    if name == "pow":
        exponent = call.arguments.get("exponent")
        return isinstance(exponent, int | float) and exponent > 0 and _zero(call, tensors[0])
    if name == "div":
        return _zero(call, tensors[0])
    if name == "pad":
        return not call.arguments.get("value") and _zero(call, tensors[0])
    if name in ("hardtanh", "clamp"):
        low, high = (call.arguments.get(a, call.arguments.get(b)) for a, b in (("min", "min_val"), ("max", "max_val")))
        return (low is None or low <= 0) and (high is None or high >= 0) and _zero(call, tensors[0])
    constants = [value for key, value in call.arguments.items() if key == "other" and isinstance(value, int | float)]
    return (name in _KEEP_ZERO or (name in _ALL and not any(constants))) and all(_zero(call, node) for node in tensors)


def is_filled(node: fx.Node, known: set[fx.Node]) -> bool:
    """Return whether a result is filled with one number, and nothing is written into it."""
    name, sources = operation_name(node), [source for source in node.all_input_nodes if "val" in source.meta]
    made = name in _FILLS or (name in _KEEP_FILLED and bool(sources) and known.issuperset(sources))
    return made and not _is_written(node)


def _is_written(node: fx.Node) -> bool:
    names = {user: operation_name(user) for user in node.users}
    return any(name.endswith("_") or (name in _KEEP_FILLED and _is_written(user)) for user, name in names.items())


def is_labelled(value: str | Value | list[Value]) -> bool:
    """Return whether a result has labels; a parameter or buffer (its name) has."""
    values = value if isinstance(value, list) else [value]
    return any(isinstance(each, str) or bool(each.components) for each in values)


def _zero(call: Call, node: fx.Node) -> bool:
    return not is_labelled(call.values[node]) or isinstance(call.values[node], str) or node in call.zeros
