"""Operations that mix channels with weights: convolutions, linear layers, embeddings.

Their MACs are the number of weights that stay times the number of positions at which they are used.
"""

from math import prod

import numpy as np

from gnnrl.network.labelling.operations.call import Call, Rule, extent, tiled, vector
from gnnrl.network.labels import Component, Value
from gnnrl.network.reasons import Kind


def _weight(call: Call) -> Value:
    """Return the labels of a weight [O, I, ...]. One that the code fills with a number gets new ones.

    Such a weight is the same for every channel, so removed channels must add nothing to its sums. If O = I, the code
    takes both sizes from its input.
    """
    node = call["weight"]
    if not call.is_sizeless(node):
        return call.value("weight", (0, 1))
    if not call.vanishes("input"):
        call.freeze(call.value("input"), Kind.COUNTED)
    labels = {dim: call.space.fresh(call.shape_of(node)[dim]) for dim in (0, 1)}
    call.tensors.made += labels.values()
    if len(labels[0]) == len(labels[1]):
        call.space.tie(labels[0], labels[1])
    known = (vector(labels[dim], dim, call.shape_of(node)) for dim in labels)
    value = call.values[node] = Value(call.shape_of(node), tuple(each for new in known for each in new.components))
    return value


def convolution(call: Call) -> Value:
    """Convolve with a weight [O, I / groups, *kernel]; transposed with a weight [I, O / groups, *kernel]."""
    transposed, groups = "transpose" in call.name, int(call["groups"])
    weight = _weight(call)
    first, second = call.along(weight, 0), call.along(weight, 1)
    for dim in range(2, len(weight.shape)):
        call.freeze(weight, Kind.FIXED_KERNEL, [dim])
    rank = len(weight.shape)
    channel = len(call.shape) - rank + 1
    value = call.whole(call.value("input"), range(channel + 1, len(call.shape)), Kind.WORKED_ALONG)
    inputs = call.along(value, channel)
    if groups == 1:
        call.tie(inputs, first if transposed else second, Kind.FIXED_INPUT)
        output = second if transposed else first
    elif inputs is None or first is None:
        call.tie(inputs, first, Kind.FIXED_INPUT)
        call.tie(second, None, Kind.FIXED_INPUT)
        output = tiled(second, groups) if transposed else first
    else:
        output = (_grouped_transposed if transposed else _grouped)(call, inputs, first, second, groups)
    counted = call.shape_of("input") if transposed else call.shape
    positions = prod(counted) // counted[channel]
    kernel = prod(weight.shape[2:])
    if call.name != "torchvision.deform_conv2d":  # which torch does not count
        call.work(positions * kernel, extent(first, weight.shape[0]), extent(second, weight.shape[1]))
    call.tie_bias(output)
    return vector(output, channel, call.shape)


def deformable(call: Call) -> Value:
    """Convolve at shifted positions [N, 2 kernel, H, W], which stay, as do their weights [N, kernel, H, W]."""
    for name in ("offset", "mask"):
        call.freeze(call.value(name), Kind.FIXED_KERNEL)
    return convolution(call)


def _grouped(call: Call, inputs: Component, first: Component, second: Component | None, groups: int) -> Component:
    """Tie a grouped convolution: it loses whole groups, or the same channels of every group, whichever is finer.

    Weight dimension 0 runs over the outputs of all groups, dimension 1 over the inputs of one group.
    """
    rows, outputs = inputs.reshape(groups, -1), first.reshape(groups, -1)
    if second is None:
        call.space.tie(outputs, rows)
    elif groups >= rows.shape[1]:
        call.space.tie(rows, rows[:, :1])
        call.space.tie(outputs, rows[:, :1])
        call.space.freeze(second, call.reason(Kind.INSIDE_GROUPS))
    else:
        call.space.tie(rows, second[None])
        call.space.tie(outputs, outputs[:1])
    return first


def _grouped_transposed(
    call: Call, inputs: Component, first: Component, second: Component | None, groups: int
) -> Component:
    """Tie a grouped transposed convolution, which loses whole groups.

    Weight dimension 0 runs over the inputs of all groups, dimension 1 over the outputs of one group.
    """
    rows = first.reshape(groups, -1)
    call.space.tie(first, inputs)
    call.space.tie(rows, rows[:, :1])
    call.tie(second, None, Kind.INSIDE_GROUPS)
    return np.repeat(rows[:, 0], 1 if second is None else len(second))


def linear(call: Call) -> Value:
    """Multiply the last dimension by a weight [O, I]."""
    weight = _weight(call)
    output, inputs = call.along(weight, 0), call.along(weight, 1)
    value = call.value("input")
    call.tie(call.along(value, -1), inputs, Kind.FIXED_INPUT)
    call.tie_bias(output)
    sizes = (extent(output, weight.shape[0]), extent(inputs, weight.shape[1]))
    carried = [component for component in value.components if component.shape[-1] == 1]
    call.work(prod(call.shape[:-1]) // prod(component.size for component in carried), *carried, *sizes)
    return Value(call.shape, (*carried, *vector(output, -1, call.shape).components))


def embedding(call: Call) -> Value:
    """Look up rows of a weight [entries, C]. All entries stay."""
    weight = call.value("weight", (1,))
    return vector(call.along(weight, 1), -1, call.shape)


RULES: dict[str, Rule] = {
    **dict.fromkeys(["conv1d", "conv2d", "conv3d", "convolution"], convolution),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], convolution),
    "linear": linear,
    "torchvision.deform_conv2d": deformable,
    "embedding": embedding,
}
