"""Calibration: what the dense network computes on a few hundred images. Recorded once, used by every candidate.

For every layer call the outputs at sampled positions (what a repaired layer should compute), for dense layers the
covariance of the inputs (what the error curves need), and the energy of the tensor that the result is added to.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.errors import DataError, wants_contiguous
from gnnrl.modules.parameters import Names
from gnnrl.pruning.calibration.batches import Feed, gather
from gnnrl.pruning.calibration.layer_calls import LayerCall, Observer, normalise, watching
from gnnrl.pruning.calibration.sampling import Sampler

_ACTIVATION_BUDGET = 8e8


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean [p] and covariance [p, p] of a layer's inputs, p = input channels · kernel positions, float32."""

    mean: Tensor
    covariance: Tensor


@dataclass(slots=True)
class LayerRecord:
    """What the dense network did in one layer call.

    Attributes:
        name: name of the weight.
        first: the first row of the weight that is meant; there are as many as outputs.
        rows: rows that the layer read.
        target: outputs at the sampled positions [n, O].
        shapes: of the input and the output.
        branch_target: number of the addition, and its result [n, O], where the (normalised) output is only added.
        energy: mean square of the tensor that the output ends in, summed over channels: the sum of a residual
            addition, the normalised output, or the output itself.
        deferrable: nothing but one addition reads the output, so it need not be there before.
        scale: factor that the normalisation or layer scale after the layer applies to each output [O].
        shifts: whether the layer can shift its outputs, by a bias or by the batch normalisation that follows.
    """

    name: str
    first: int
    rows: int
    samples: int
    target: Tensor
    energy: float
    scale: Tensor
    shifts: bool
    shapes: tuple[torch.Size, torch.Size]
    deferrable: bool = False
    branch_target: tuple[int, Tensor] | None = None
    moments: Moments | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Inputs and what the dense network made of them.

    Attributes:
        inputs: of one forward pass over all calibration images, in the order of the example inputs.
        labels: their labels, where the data has some.
        layers: records by the number of the layer call.
        feed: how a network takes the inputs.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor | None
    layers: dict[int, LayerRecord]
    sampler: Sampler = field(default_factory=Sampler)
    feed: Feed = field(default_factory=Feed)

    @property
    def images(self) -> int:
        """Number of calibration images."""
        return len(self.inputs[0])

    def of_weight(self, name: str) -> list[LayerRecord]:
        """Records of all calls with this weight."""
        return [record for record in self.layers.values() if record.name == name]

    def batches(self, size: int = 125) -> Iterable[tuple[Tensor, ...]]:
        """Labelled batches (x, y) or (x1, x2, ..., y).

        Raises:
            DataError: the data has no labels.
        """
        if self.labels is None:
            raise DataError("the calibration data has no labels; give batches of (x, y) or choose another criterion")
        starts = range(0, self.images, size)
        return [tuple(value[k : k + size] for value in (*self.inputs, self.labels)) for k in starts]


@torch.no_grad()
def calibrate(
    model: nn.Module,
    data: Iterable[Any],
    *,
    images: int = 500,
    sampler: Sampler | None = None,
    moments: bool = True,
    example_inputs: Any = None,
) -> Calibration:
    """Run a dense network on calibration data and record what repair and error curves need.

    Args:
        data: batches `x`, `(x, y)`, `(x1, x2)` or `(x1, x2, y)`, inputs in the order of the example inputs, then
            labels, or dictionaries with their keys; read until `images` are seen.
        images: images to use at most; fewer where their activations would not fit into memory.
        moments: also collect the covariance of the inputs of dense layers.
        example_inputs: what the network was traced with: it is called in the same way.

    Raises:
        DataError: the data has fewer than two images, batches that are not tensors, inputs that the network
            cannot take, or such that layers give NaN or infinite numbers.
    """
    device = next(model.parameters()).device
    inputs, labels = gather(data, images, model, example_inputs)
    inputs = tuple(value.to(device).contiguous() for value in inputs)
    sampler, feed = sampler or Sampler(), Feed.like(example_inputs)
    try:
        bound, layout = _affordable(model, inputs, feed), _layout(model, inputs, feed)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        shapes = ", ".join(f"{value.dtype} of shape {list(value.shape)}" for value in inputs)
        raise DataError(
            f"the network cannot take the calibration data, {shapes}: {str(error).splitlines()[0]}. Give batches "
            "of the network's inputs in the order of its forward, labels last"
        ) from error
    inputs = tuple(_laid_out(value[:bound], layout) for value in inputs)
    recorder = _Recorder(model, sampler, moments)
    with watching(model, recorder.observer):
        feed.run(model, inputs)
    recorder.finish()
    _check_finite(recorder.layers.values(), inputs)
    return Calibration(inputs, None if labels is None else labels[:bound], recorder.layers, sampler, feed)


def _layout(model: nn.Module, inputs: Sequence[Tensor], feed: Feed) -> torch.memory_format:
    """Channels-last, which convolutions and the sampling of their inputs like best, where the network runs in it."""
    try:
        with watching(model, Observer(LayerCall.run, _normalised, lambda *_: None)):
            feed.run(model, [_laid_out(value[:2], torch.channels_last) for value in inputs])
    except RuntimeError as error:
        if not wants_contiguous(error):
            raise
        return torch.contiguous_format
    return torch.channels_last


def _laid_out(value: Tensor, layout: torch.memory_format) -> Tensor:
    return value.contiguous(memory_format=layout) if value.ndim == 4 else value


def _affordable(model: nn.Module, inputs: Sequence[Tensor], feed: Feed) -> int:
    """Images whose largest activation stays within the budget of one forward pass."""
    largest = 1

    def layer(call: LayerCall) -> Tensor:
        nonlocal largest
        output = call.run()
        largest = max(largest, output.numel())
        return output

    with watching(model, Observer(layer, _normalised, lambda *_: None)):
        feed.run(model, [value[:1] for value in inputs])
    return int(max(2, min(len(inputs[0]), _ACTIVATION_BUDGET / 4 / largest)))


def _normalised(arguments: dict[str, Any], _: LayerCall | None) -> Tensor:
    """Normalise as in evaluation, whatever mode the network is in."""
    return normalise(arguments["input"], arguments)


class _Recorder:
    """Records the layer calls of a dense network."""

    def __init__(self, model: nn.Module, sampler: Sampler, moments: bool) -> None:
        self.layers: dict[int, LayerRecord] = {}
        self.observer = Observer(self._layer, self._norm, self._addition)
        self._names = Names(model)
        self._branches: dict[int, LayerCall] = {}
        self._sampler = sampler
        self._moments = moments

    def finish(self) -> None:
        """Say which outputs may wait for their addition, now that all readers are known."""
        for order, call in self._branches.items():
            self.layers[order].deferrable = call.reads == 1

    def _layer(self, call: LayerCall) -> Tensor:
        output = call.run()
        found = self._names.find(call.weight)
        if found is None:
            return output
        inputs = call.matrix.shape[1]
        samples = self._sampler.count(inputs, call.groups)
        target = self._sampler.outputs(output, call, samples)
        scale = torch.ones(target.shape[1], device=target.device)
        record = LayerRecord(
            *found,
            call.rows,
            samples,
            target,
            _energy(target),
            scale,
            call.bias is not None,
            (call.input.shape, output.shape),
        )
        if self._moments and call.groups == 1 and inputs <= _WIDEST:
            record.moments = _moments(self._sampler.patches(call, samples))
        self.layers[call.order] = record
        if call.source is not None:
            self._normalised(call, output)
        return output

    def _normalised(self, call: LayerCall, output: Tensor) -> None:
        """Tell the layer before a group or layer normalisation how much its outputs weigh after it."""
        source = self.layers.get(call.source.order) if call.source is not None else None
        if source is None:
            return
        before, after = (self._sampler.outputs(x, call, source.samples) for x in (call.input, output))
        if before.shape[1] == source.target.shape[1]:
            source.scale = after.std(0) / before.std(0).clamp_min(1e-12)
            source.energy = _energy(after, centred=True)

    def _norm(self, arguments: dict[str, Any], call: LayerCall | None) -> Tensor:
        output = normalise(arguments["input"], arguments)
        record = self.layers.get(call.order) if call is not None and call.norm is not None else None
        if call is not None and record is not None:
            record.scale, record.shifts = norm_scale(arguments), True
            record.energy = _energy(self._sampler.outputs(output, call, record.samples), centred=True)
        return output

    def _addition(self, number: int, branch: Tensor, other: Tensor, call: LayerCall) -> None:
        record = self.layers.get(call.order)
        if record is None:
            return
        total = self._sampler.outputs(branch + other, call, record.samples)
        record.branch_target = (number, total)
        self._branches[call.order] = call
        record.energy = _energy(total)
        if call.scale is not None:
            record.scale = call.scale.flatten()
        source = self.layers.get(call.source.order) if call.source is not None else None
        if source is not None:
            source.energy = record.energy


_WIDEST = 6000


def norm_scale(norm: dict[str, Any]) -> Tensor:
    """Factor γ / σ that a batch normalisation applies to each channel [C]."""
    variance: Tensor = norm["running_var"]
    scale: Tensor = norm["weight"] if norm["weight"] is not None else torch.ones_like(variance)
    factor: Tensor = (variance + norm["eps"]).rsqrt()
    return scale * factor


def _check_finite(records: Iterable[LayerRecord], inputs: Sequence[Tensor]) -> None:
    """Refuse activations that cannot be squared, which least squares needs; infinite masks that do no harm may be."""
    for record in records:
        spread = 0.0 if record.moments is None else float(record.moments.covariance.diagonal().sum())
        if math.isfinite(_energy(record.target)) and math.isfinite(spread):
            continue
        for value in inputs:
            sound = torch.isfinite(value).reshape(len(value), -1).all(1)
            if not sound.all():
                raise DataError(
                    f"the calibration data hold NaN or infinite numbers, first in sample {int(sound.int().argmin())} "
                    f"of {len(value)} (counted from 0), and so does what {record.name} computes; leave such samples out"
                )
        raise DataError(
            f"what {record.name} computes from the calibration data overflows: it is NaN, infinite or too large to "
            "be squared; look at its weights, and at the scale of the data"
        )


def _energy(value: Tensor, *, centred: bool = False) -> float:
    value = value.to(torch.promote_types(value.dtype, torch.float32))
    shifted = value - value.mean(0) if centred else value
    return max(float(shifted.square().mean(0).sum()), 1e-12)


def _moments(rows: Tensor) -> Moments:
    mean = rows.mean(0)
    covariance = rows.T @ rows / len(rows) - mean[:, None] * mean
    return Moments(mean, covariance)
