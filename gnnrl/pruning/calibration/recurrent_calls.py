"""Recurrent layers one by one, and the linear layers in them that read their inputs.

The gates of an LSTM, GRU or RNN add two linear layers: one reads the inputs, one the outputs of the previous step. Only
the first is shown: with the second, plans and repair were worse (docs/decisions.md).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def is_recurrent(name: str, args: Sequence[Any]) -> bool:
    """Return True for the arguments of recurrent layers on sequences that are not packed.

    They are inputs, states, parameters, has biases, layers, dropout, training, both directions, batch first.
    """
    return name in RECURRENT and len(args) == 9 and isinstance(args[2], tuple | list)


def run_layers(function: Callable[..., Any], args: Sequence[Any], see: Callable[[dict[str, Any]], None]) -> Any:
    """Run recurrent layers one after another.

    Args:
        see: called with the arguments of the linear layers that read the inputs, one for each direction, before the
            layer is run.
    """
    value, start, params, has_biases, count, _, _, both, layout = args
    directions = 2 if both else 1
    each = len(params) // count
    ends: list[Sequence[Tensor]] = []
    for number in range(count):
        own = params[number * each : (number + 1) * each]
        for weights in (own[: each // directions], own[each // directions :])[:directions]:
            see({"input": value, "weight": weights[0], "bias": weights[2] if has_biases else None})
        first, last = number * directions, (number + 1) * directions
        states = start[first:last] if isinstance(start, Tensor) else tuple(state[first:last] for state in start)
        value, *end = function(value, states, own, has_biases, 1, 0.0, False, both, layout)
        ends.append(end)
    return value, *(torch.cat(parts) for parts in zip(*ends, strict=True))
