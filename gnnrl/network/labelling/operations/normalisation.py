"""Normalisations: scale, shift and running statistics are tied to the channels that they normalise."""

from collections.abc import Sequence

from gnnrl.network.labelling.operations.call import Call, Rule, vector
from gnnrl.network.labels import Component, Value
from gnnrl.network.reasons import Kind

VECTORS = ("weight", "bias", "running_mean", "running_var")
OVER_CHANNELS = {"layer_norm", "group_norm", "rms_norm"}


def batch_norm(call: Call) -> Value:
    """Normalise every channel (dimension 1) over the batch, or over each image (instance normalisation)."""
    return _affine(call, call.value("input"), 1)


def is_over_channels(call: Call) -> bool:
    """Return whether a normalisation averages over channels; batch normalisation in training may do so over weights."""
    return call.name in OVER_CHANNELS or (call.name == "batch_norm" and bool(call["training"]))


def _affine(call: Call, value: Value, dim: int) -> Value:
    labels = call.along(value, dim)
    for name in VECTORS:
        if call.has(name):
            call.tie(call.along(call.value(name, (0,)), 0), labels, Kind.NORMALISED_FIXED)
    return value if value.components else vector(None, dim, call.shape)


def layer_norm(call: Call) -> Value:
    """Normalise over the last dimensions. Mean and variance do not include removed channels."""
    value, dims = call.value("input"), len(call["normalized_shape"])
    normalised = range(len(value.shape) - dims, len(value.shape))
    if dims == 1:
        return _affine(call, value, -1)
    call.freeze(value, Kind.NORMALISED_TOGETHER, normalised)
    for name in VECTORS[:2]:
        if call.has(name):
            call.value(name, ())
    return Value(call.shape, _fixed_along(value, normalised))


def group_norm(call: Call) -> Value:
    """Normalise groups of channels (dimension 1). Every group loses the same channels; a single group loses any.

    If each channel is a group, the number of groups follows the channels, which probes confirm.
    """
    value, groups = call.value("input"), int(call["num_groups"])
    labels = call.along(value, 1)
    if labels is not None and groups > 1:
        rows = labels.reshape(groups, -1)
        if rows.shape[1] > 1:
            call.space.tie(rows, rows[:1])
    return _affine(call, value, 1)


def softmax(call: Call) -> Value:
    """Normalise along one dimension, which keeps its size, to a sum of one."""
    return call.whole(call.value("self"), [call["dim"]], Kind.TAKEN_OVER)


def prelu(call: Call) -> Value:
    """Rectify with one learned slope for all channels or one for each channel (dimension 1)."""
    value = call.value("self")
    if call.shape_of("weight") != (1,):
        call.tie(call.along(call.value("weight", (0,)), 0), call.along(value, 1), Kind.FIXED_OPERAND)
    return value


def _fixed_along(value: Value, dims: Sequence[int]) -> tuple[Component, ...]:
    return tuple(component for component in value.components if all(component.shape[dim] == 1 for dim in dims))


RULES: dict[str, Rule] = {
    **dict.fromkeys(["batch_norm", "instance_norm", "_native_batch_norm_legit_no_training"], batch_norm),
    **dict.fromkeys(["layer_norm", "rms_norm"], layer_norm),
    **dict.fromkeys(["softmax", "log_softmax", "_softmax"], softmax),
    "group_norm": group_norm,
    "prelu": prelu,
}
