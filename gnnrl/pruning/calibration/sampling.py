"""Sampling of positions in a layer's inputs and outputs: enough of them, the same in every run, bounded.

n = samples, I = input channels, k = kernel positions, O = outputs. A normalisation counts as a layer of one input for
each output: its normalised, not yet scaled values.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor

from gnnrl.pruning.calibration.layer_calls import CONVOLUTIONS, SCALINGS, LayerCall

_GOLDEN = (sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Part:
    """The images from `start` up to `stop` of all `images`, which go through a network together."""

    start: int
    stop: int
    images: int

    def within(self, rows: int) -> tuple[int, int]:
        """Return the number of the first of this many rows of the part, and the number of rows of all images."""
        count = self.stop - self.start
        return rows * self.start // count, rows * self.images // count


@dataclass(slots=True)
class Sampler:
    """Chooses the number of sampled positions of a layer.

    Attributes:
        per_input: samples for each input of a weight (I · k); more only cost time.
        work: bound on samples · inputs², for wide layers.
        least: samples of a narrow layer.
        elements: bound on the numbers in the sampled inputs of one layer: 256 MB.
    """

    per_input: int = 12
    work: float = 1e11
    least: int = 8192
    elements: float = 2**26

    def count(self, inputs: int, groups: int = 1) -> int:
        """Return the number of samples for a weight with this many inputs of each output, in this many groups.

        Beyond some 5,000 inputs there are fewer samples than inputs: then a system of the samples is solved, at a cost
        of samples² · inputs.
        """
        wanted = max(min(max(self.per_input * inputs, self.least), self.work / inputs**2), 2 * inputs)
        return int(max(min(wanted, sqrt(4 * self.work / inputs), self.elements / (inputs * groups)), 1))


def sampled_inputs(call: LayerCall, samples: int, part: Part | None = None) -> Tensor:
    """Return inputs of the chosen positions [n, I · k], in the order of the call's weights, group by group.

    Args:
        samples: number of positions in all images.
        part: the images that the call reads, if they are not all.
    """
    if call.kind in SCALINGS:
        return sampled_outputs(call.unscaled(), call, samples, part)
    if call.kind == "linear":
        return _rows(call.input, samples, part)
    rank, value, weight = CONVOLUTIONS[call.kind], call.input, call.weight
    stride, dilation = (_tuple(call.arguments[name], rank) for name in ("stride", "dilation"))
    before, after = _padding(call, rank, dilation)
    sizes = [
        (value.shape[2 + dim] + before[dim] + after[dim] - (weight.shape[2 + dim] - 1) * dilation[dim] - 1)
        // stride[dim]
        + 1
        for dim in range(rank)
    ]
    image, corner = _positions(len(value), sizes, samples, value.device, part)
    index, inside = torch.zeros_like(image)[:, None], torch.ones_like(image, dtype=torch.bool)[:, None]
    for dim, position in enumerate(torch.unravel_index(corner, sizes)):
        size = value.shape[2 + dim]
        reach = torch.arange(weight.shape[2 + dim], device=value.device) * dilation[dim] - before[dim]
        place = (position * stride[dim])[:, None] + reach
        index = (index[:, :, None] * size + place.clamp(0, size - 1)[:, None]).flatten(1)
        inside = (inside[:, :, None] & ((place >= 0) & (place < size))[:, None]).flatten(1)
    found = _taken(value, image, index)
    if any(before) or any(after):
        found *= inside[:, :, None]
    return found.mT.flatten(1)


def mean_inputs(call: LayerCall) -> Tensor:
    """Return the mean of the inputs at all positions [I · k] of a convolution or linear layer."""
    if call.kind == "linear":
        return call.input.flatten(0, -2).mean(0)
    # Positions are linear in the image, so those of the mean image are enough.
    image = {**call.arguments, "input": call.input.mean(0, keepdim=True)}
    return sampled_inputs(LayerCall(call.order, call.kind, image), sys.maxsize).mean(0)


def sampled_outputs(value: Tensor, call: LayerCall, samples: int, part: Part | None = None) -> Tensor:
    """Return outputs at the chosen positions [n, O]; see `sampled_inputs`."""
    if call.channel_dim == -1:
        return _rows(value, samples, part)
    image, index = _positions(len(value), value.shape[2:], samples, value.device, part)
    return _taken(value, image, index[:, None])[:, 0]


def _rows(value: Tensor, samples: int, part: Part | None) -> Tensor:
    rows = value.flatten(0, -2)
    first, total = (0, len(rows)) if part is None else part.within(len(rows))
    if total <= samples:
        return rows
    chosen = torch.arange(samples, device=rows.device) * total // samples - first
    return rows[chosen[(chosen >= 0) & (chosen < len(rows))]]


def _positions(
    images: int, sizes: Sequence[int], samples: int, device: torch.device, part: Part | None
) -> tuple[Tensor, Tensor]:
    """Return image and place in it [n], spread evenly over all, each within its own stretch by the golden ratio."""
    each = prod(sizes)
    first, total = (0, images * each) if part is None else part.within(images * each)
    if samples >= total:
        flat = torch.arange(images * each, device=device)
    else:
        number = torch.arange(samples, device=device, dtype=torch.float64)
        flat = ((number + number * _GOLDEN % 1) * (total / samples)).long() - first
        flat = flat[(flat >= 0) & (flat < images * each)]
    return flat // each, flat % each


def _taken(value: Tensor, image: Tensor, index: Tensor) -> Tensor:
    """Return channels [n, k, C] of a tensor [N, C, ...] at places [n, k] of images [n]; copy nothing else."""
    places = value.reshape(*value.shape[:2], -1)
    if places.mT.is_contiguous():
        rows = (image[:, None] * places.shape[2] + index).flatten()
        return places.mT.reshape(-1, places.shape[1]).index_select(0, rows).view(*index.shape, -1)
    return places[image[:, None], :, index]


def _padding(call: LayerCall, rank: int, dilation: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the number of zeros before and after each dimension."""
    padding = call.arguments["padding"]
    if padding == "valid":
        padding = 0
    if padding != "same":
        return (amounts := _tuple(padding, rank)), amounts
    totals = [dilation[dim] * (call.weight.shape[2 + dim] - 1) for dim in range(rank)]
    return [total // 2 for total in totals], [total - total // 2 for total in totals]


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value) * (rank if len(value) == 1 else 1)
