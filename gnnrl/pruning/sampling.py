"""Which positions of a layer's inputs and outputs are looked at: enough of them, the same in every run, bounded.

n = samples, I = input channels, k = kernel positions, O = outputs. A normalisation counts as a layer of one input for
each output: its normalised, not yet scaled values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor

from gnnrl.pruning.layer_calls import CONVOLUTIONS, SCALINGS, LayerCall


@dataclass(slots=True)
class Sampler:
    """Chooses positions of layer inputs and outputs, the same for every network and run.

    Attributes:
        per_input: samples for each input of a weight (I · k); more only cost time.
        work: bound on samples · inputs², so that wide layers stay affordable.
        least: samples of a narrow layer.
        elements: bound on the numbers in the sampled inputs of one layer, so that the widest stay affordable: 256 MB.
    """

    per_input: int = 8
    work: float = 1e11
    least: int = 2048
    elements: float = 2**26

    def count(self, inputs: int, groups: int = 1) -> int:
        """Number of samples for a weight with this many inputs of each output, in this many groups.

        Beyond some 5,000 inputs there are fewer samples than inputs: a system of the samples is solved there, whose
        work is samples² · inputs.
        """
        wanted = max(min(max(self.per_input * inputs, self.least), self.work / inputs**2), 2 * inputs)
        return int(max(min(wanted, sqrt(4 * self.work / inputs), self.elements / (inputs * groups)), 1))

    def patches(self, call: LayerCall, samples: int) -> Tensor:
        """Inputs of the chosen positions [n, I · k], in the order of the call's weights, group by group."""
        if call.kind in SCALINGS:
            return self.outputs(call.unscaled(), call, samples)
        if call.kind == "linear":
            return _rows(call.input, samples)
        rank, weight = CONVOLUTIONS[call.kind], call.weight
        stride, dilation = (_tuple(call.arguments[name], rank) for name in ("stride", "dilation"))
        windows = _padded(call, rank, dilation)
        for dim in range(rank):
            reach = (weight.shape[2 + dim] - 1) * dilation[dim] + 1
            windows = windows.unfold(2 + dim, reach, stride[dim])[..., :: dilation[dim]]
        return _stacked([part.movedim(1, 1 + rank) for part in _grid(windows, rank, samples)], 1 + rank)

    def outputs(self, value: Tensor, call: LayerCall, samples: int) -> Tensor:
        """Outputs at the chosen positions [n, O]."""
        if call.channel_dim == -1:
            return _rows(value, samples)
        rank = value.ndim - 2
        return _stacked([part.movedim(1, -1) for part in _grid(value, rank, samples)], 1 + rank)


def _rows(value: Tensor, samples: int) -> Tensor:
    rows = value.flatten(0, -2)
    return rows if len(rows) <= samples else rows[torch.arange(samples, device=rows.device) * len(rows) // samples]


def _stacked(parts: Sequence[Tensor], leading: int) -> Tensor:
    """Rows [n, p] of all parts, whose first `leading` dimensions count rows; copies every element once."""
    counts = [prod(part.shape[:leading]) for part in parts]
    rows = parts[0].new_empty(sum(counts), prod(parts[0].shape[leading:]))
    for part, goal in zip(parts, rows.split(counts), strict=True):  # type: ignore[no-untyped-call]
        goal.view(part.shape).copy_(part)
    return rows


def _grid(value: Tensor, rank: int, samples: int) -> list[Tensor]:
    """Cut the spatial dimensions (2 .. 2 + rank) to a grid that moves from image to image."""
    sizes = value.shape[2 : 2 + rank]
    step = 1
    while sizes and prod(max(size // (step + 1), 1) for size in sizes) * len(value) >= samples and step < max(sizes):
        step += 1
    parts = []
    chunk = max(1, len(value) // 8)
    for number, start in enumerate(range(0, len(value), chunk)):
        part = value[start : start + chunk]
        for dim, size in enumerate(sizes):
            offset = (3 + 2 * dim) * number % min(step, size)
            part = part[(slice(None),) * (2 + dim) + (slice(offset, None, step),)]
        parts.append(part)
    return parts


def _padded(call: LayerCall, rank: int, dilation: Sequence[int]) -> Tensor:
    padding = call.arguments["padding"]
    if padding == "valid":
        return call.input
    if padding == "same":
        amounts = []
        for dim in reversed(range(rank)):
            total = dilation[dim] * (call.weight.shape[2 + dim] - 1)
            amounts += [total // 2, total - total // 2]
    else:
        amounts = [amount for size in reversed(_tuple(padding, rank)) for amount in (size, size)]
    return torch.nn.functional.pad(call.input, amounts) if any(amounts) else call.input


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value) * (rank if len(value) == 1 else 1)
