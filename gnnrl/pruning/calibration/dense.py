"""Calibration: what the dense network computes on a few hundred images. Recorded once, used by every candidate.

For every layer call the outputs at sampled positions (what a repaired layer should compute), for dense layers the
covariance of the inputs (what the error curves need), and the energy of the tensor that the result is added to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnrl.errors import DataError, wants_contiguous
from gnnrl.modules.parameters import Names
from gnnrl.pruning.calibration.batches import Feed, gather
from gnnrl.pruning.calibration.layer_calls import LayerCall, normalise
from gnnrl.pruning.calibration.readers import Readers
from gnnrl.pruning.calibration.records import LayerRecord, Moments, check_alike, check_finite, energy
from gnnrl.pruning.calibration.sampling import Sampler
from gnnrl.pruning.calibration.watch import Observer, watching

_ACTIVATION_BUDGET = 1.6e9


@dataclass(frozen=True, slots=True)
class Calibration:
    """Inputs and what the dense network made of them.

    Attributes:
        inputs: of one forward pass over all calibration images, in the order of the example inputs.
        labels: their labels, where the data has some.
        layers: records by the number of the layer call.
        feed: how a network takes the inputs.
        outputs: what the dense network computes of the held-out images.
        shared: names of parameters and buffers that more than one layer reads, or anything that is not a layer.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor | None
    layers: dict[int, LayerRecord]
    sampler: Sampler = field(default_factory=Sampler)
    feed: Feed = field(default_factory=Feed)
    outputs: tuple[Tensor, ...] = ()
    shared: frozenset[str] = frozenset()

    @property
    def fitted(self) -> int:
        """Images that are fitted where some are held out: the first three quarters, or all of fewer than 8."""
        return fitted_of(self.images)

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


def fitted_of(images: int) -> int:
    """How many of so many images are fitted where some are held out."""
    return images if images < 8 else images - images // 4


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
    recorder, readers = _Recorder(model, sampler, moments, fitted_of(bound) / bound), Readers(model)
    with watching(model, recorder.observer, readers):
        outputs = feed.run(model, inputs)
    recorder.finish()
    check_finite(recorder.layers.values(), inputs)
    check_alike(recorder.layers.values(), bound)
    return Calibration(
        inputs,
        None if labels is None else labels[:bound],
        recorder.layers,
        sampler,
        feed,
        _held(outputs, bound),
        readers.shared,
    )


def _held(outputs: Any, images: int) -> tuple[Tensor, ...]:
    """The outputs of the held-out images."""
    leaves = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
    numbers = [leaf for leaf in leaves if leaf.is_floating_point() and leaf.ndim and len(leaf) % images == 0]
    return tuple(leaf[len(leaf) // images * fitted_of(images) :].clone() for leaf in numbers)


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

    def __init__(self, model: nn.Module, sampler: Sampler, moments: bool, share: float) -> None:
        self.layers: dict[int, LayerRecord] = {}
        self.observer = Observer(self._layer, self._norm, self._addition)
        self._names = Names(model)
        self._buffers = {id(value): name for name, value in (*model.named_parameters(), *model.named_buffers())}
        self._branches: dict[int, LayerCall] = {}
        self._sampler = sampler
        self._moments, self._share = moments, share

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
            energy(target),
            scale,
            call.bias is not None,
            (call.input.shape, output.shape),
        )
        record.bias = self._buffers.get(id(call.bias))
        if self._moments and call.groups == 1 and inputs <= _WIDEST:
            rows = self._sampler.patches(call, samples)
            record.moments = _moments(rows)
            record.fitted = _moments(rows[: round(len(rows) * self._share)])
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
            source.energy = energy(after, centred=True)

    def _norm(self, arguments: dict[str, Any], call: LayerCall | None) -> Tensor:
        output = normalise(arguments["input"], arguments)
        record = self.layers.get(call.order) if call is not None and call.norm is not None else None
        if call is not None and record is not None:
            record.scale, record.shifts = norm_scale(arguments), True
            record.centre = self._buffers.get(id(arguments["running_mean"]))
            record.energy = energy(self._sampler.outputs(output, call, record.samples), centred=True)
        return output

    def _addition(self, number: int, branch: Tensor, other: Tensor, call: LayerCall) -> None:
        record = self.layers.get(call.order)
        if record is None:
            return
        total = self._sampler.outputs(branch + other, call, record.samples)
        record.branch_target = (number, total)
        self._branches[call.order] = call
        record.energy = energy(total)
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


def _moments(rows: Tensor) -> Moments:
    mean = rows.mean(0)
    covariance = rows.T @ rows / len(rows) - mean[:, None] * mean
    return Moments(mean, covariance)
