"""Speed of networks on this machine."""

from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.modules.copies import copy_network

_BATCH = 64
_BLOCKS, _WARM_UP = 4, 3
_MOST, _SECONDS = 25, 0.3


@torch.no_grad()
def measure_speed(
    models: Mapping[str, nn.Module], example: Tensor, device: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Measure median milliseconds of one input, and inputs a second in batches of 64.

    The networks take turns in blocks, each block on a fresh copy, and a network's best block counts: other work of the
    machine, and the place of a copy in memory, only ever slow a network down.
    """
    one = example[:1].to(device)
    many = one.repeat(_BATCH, *[1] * (one.ndim - 1))
    latency, batch = _seconds(models, one), _seconds(models, many)
    return (
        {name: round(1e3 * seconds, 4) for name, seconds in latency.items()},
        {name: round(_BATCH / seconds, 1) for name, seconds in batch.items()},
    )


def _seconds(models: Mapping[str, nn.Module], inputs: Tensor) -> dict[str, float]:
    blocks: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(_BLOCKS):
        for name, model in models.items():
            fresh = copy_network(model).eval()
            blocks[name].append(median(time_block(partial(fresh, inputs), inputs.device)))
    return {name: min(medians) for name, medians in blocks.items()}


def time_block(call: Callable[[], Any], device: torch.device) -> list[float]:
    """Return the seconds of each call of a series, after three calls that do not count."""
    for _ in range(_WARM_UP):
        call()
    seconds: list[float] = []
    while len(seconds) < _MOST and sum(seconds) < _SECONDS:
        start = perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(perf_counter() - start)
    return seconds
