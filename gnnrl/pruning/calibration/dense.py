"""Calibration: statistics of the dense network on a few hundred images, recorded once and used by every plan.

For every layer call these are the outputs at sampled positions, which a repaired layer should compute; the covariance
of the inputs of dense layers, which the error curves need; and the energy of the tensor that the result is added to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnrl.errors import DataError, wants_contiguous
from gnnrl.modules.copies import device_of
from gnnrl.modules.parameters import Names
from gnnrl.pruning.calibration.batches import Feed, gather
from gnnrl.pruning.calibration.layer_calls import LayerCall, normalise
from gnnrl.pruning.calibration.readers import Readers
from gnnrl.pruning.calibration.records import LayerRecord, Moments, check_alike, check_finite, energy
from gnnrl.pruning.calibration.sampling import Sampler, sampled_inputs, sampled_outputs
from gnnrl.pruning.calibration.watch import Observer, watching

_ACTIVATION_BUDGET = 1.6e9
_WIDEST = 6000


@dataclass(frozen=True, slots=True)
class Calibration:
    """Inputs, and statistics of the dense network on them.

    Attributes:
        inputs: inputs of one forward pass over all calibration images, in the order of the example inputs.
        labels: labels of the images, None if the data have none.
        layers: records by the number of the layer call.
        feed: the way in which a network takes the inputs.
        outputs: outputs of the dense network for the held-out images.
        shared: names of parameters and buffers that more than one layer reads, or anything that is not a layer.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor | None
    layers: dict[int, LayerRecord]
    feed: Feed = field(default_factory=Feed)
    outputs: tuple[Tensor, ...] = ()
    shared: frozenset[str] = frozenset()

    @property
    def fitted(self) -> int:
        """Number of images that are fitted if others are held out: the first three quarters, or all of fewer than 8."""
        return fitted_of(self.images)

    @property
    def images(self) -> int:
        """Number of calibration images."""
        return len(self.inputs[0])

    def of_weight(self, name: str) -> list[LayerRecord]:
        """Return the records of all calls with this weight."""
        return [record for record in self.layers.values() if record.name == name]

    def batches(self, size: int = 125) -> Iterable[tuple[Tensor, ...]]:
        """Return labelled batches (x, y) or (x1, x2, ..., y).

        Raises:
            DataError: the data has no labels.
        """
        if self.labels is None:
            raise DataError("the calibration data has no labels; give batches of (x, y) or choose another criterion")
        starts = range(0, self.images, size)
        return [tuple(value[k : k + size] for value in (*self.inputs, self.labels)) for k in starts]


def fitted_of(images: int) -> int:
    """Return the number of fitted images of this many."""
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
    """Run a dense network on calibration data, and record the statistics that repair and error curves need.

    Args:
        data: batches `x`, `(x, y)`, `(x1, x2)` or `(x1, x2, y)`, inputs in the order of the example inputs, then
            labels, or dictionaries with their keys; read until `images` are seen.
        images: largest number of images; fewer are used if their activations would not fit into memory.
        moments: if True, also collect the covariance of the inputs of dense layers.
        example_inputs: the inputs that the network was traced with: it is called in the same way.

    Raises:
        DataError: the data have fewer than two images, batches that are not tensors, inputs that the network
            cannot take, or inputs for which layers compute NaN or infinite numbers.
    """
    device = device_of(model)
    inputs, labels = gather(data, images, model, example_inputs)
    inputs = tuple(value.to(device).contiguous() for value in inputs)
    feed = Feed.like(example_inputs)
    try:
        inputs = _prepared(model, inputs, feed)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        shapes = ", ".join(f"{value.dtype} of shape {list(value.shape)}" for value in inputs)
        raise DataError(
            f"the network cannot take the calibration data, {shapes}: {str(error).splitlines()[0]}. Give batches "
            "of the network's inputs in the order of its forward, labels last"
        ) from error
    images = len(inputs[0])
    recorder, readers = _Recorder(model, sampler or Sampler(), moments, fitted_of(images) / images), Readers(model)
    with watching(model, recorder.observer, readers):
        outputs = feed.run(model, inputs)
    recorder.finish()
    check_finite(recorder.layers.values(), inputs)
    check_alike(recorder.layers.values(), images)
    held = tuple(leaf.clone() for leaf in numbers_of_images(outputs, images, fitted_of(images)))
    labels = None if labels is None else labels[:images]
    return Calibration(inputs, labels, recorder.layers, feed, held, readers.shared)


def numbers_of_images(outputs: object, images: int, first: int = 0) -> list[Tensor]:
    """Return the outputs that are numbers of each image, by which networks are compared, from the first image on."""
    leaves = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
    numbers = [leaf for leaf in leaves if leaf.is_floating_point() and leaf.ndim and len(leaf) % images == 0]
    return [leaf[len(leaf) // images * first :] for leaf in numbers]


def _prepared(model: nn.Module, inputs: Sequence[Tensor], feed: Feed) -> tuple[Tensor, ...]:
    """Return the images whose largest activation stays within the budget of one forward pass.

    They are in the layout channels-last, in which convolutions and the sampling of their inputs are fastest, if the
    network runs in it.
    """
    largest = 1

    def layer(call: LayerCall) -> Tensor:
        nonlocal largest
        output = call.run()
        largest = max(largest, output.numel() // 2)
        return output

    def laid_out(images: int, layout: torch.memory_format) -> tuple[Tensor, ...]:
        few = (value[:images] for value in inputs)
        return tuple(value.contiguous(memory_format=layout) if value.ndim == 4 else value for value in few)

    for layout in (torch.channels_last, torch.contiguous_format):
        try:
            with watching(model, Observer(layer, _normalised, lambda *_: None)):
                feed.run(model, laid_out(2, layout))
            break
        except RuntimeError as error:
            if layout is torch.contiguous_format or not wants_contiguous(error):
                raise
    return laid_out(int(max(2, _ACTIVATION_BUDGET / 4 / largest)), layout)


def _normalised(arguments: dict[str, Any], _: LayerCall | None) -> Tensor:
    """Normalise as in evaluation mode."""
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
        """Note which outputs are only added, now that all readers are known."""
        for order, call in self._branches.items():
            self.layers[order].deferrable = call.reads == 1

    def _layer(self, call: LayerCall) -> Tensor:
        output = call.run()
        found = self._names.find(call.weight)
        if found is None:
            return output
        inputs = call.matrix.shape[1]
        samples = self._sampler.count(inputs, call.groups)
        target = sampled_outputs(output, call, samples)
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
            rows = sampled_inputs(call, samples)
            record.moments = _moments(rows)
            record.fitted = _moments(rows[: round(len(rows) * self._share)])
        self.layers[call.order] = record
        if call.source is not None:
            self._normalised(call, output)
        return output

    def _normalised(self, call: LayerCall, output: Tensor) -> None:
        """Note the scale that a group or layer normalisation gives to the outputs of the layer before it."""
        source = self.layers.get(call.source.order) if call.source is not None else None
        if source is None:
            return
        before, after = (sampled_outputs(x, call, source.samples) for x in (call.input, output))
        if before.shape[1] == source.target.shape[1]:
            source.scale = after.std(0) / before.std(0).clamp_min(1e-12)
            source.energy = energy(after, centred=True)

    def _norm(self, arguments: dict[str, Any], call: LayerCall | None) -> Tensor:
        output = normalise(arguments["input"], arguments)
        record = self.layers.get(call.order) if call is not None and call.norm is not None else None
        if call is not None and record is not None:
            record.scale, record.shifts = norm_scale(arguments), True
            record.centre = self._buffers.get(id(arguments["running_mean"]))
            record.energy = energy(sampled_outputs(output, call, record.samples), centred=True)
        return output

    def _addition(self, number: int, branch: Tensor, other: Tensor, call: LayerCall) -> None:
        record = self.layers.get(call.order)
        if record is None:
            return
        total = sampled_outputs(branch + other, call, record.samples)
        record.branch_target = (number, total)
        self._branches[call.order] = call
        record.energy = energy(total)
        if call.scale is not None:
            record.scale = call.scale.flatten()
        source = self.layers.get(call.source.order) if call.source is not None else None
        if source is not None:
            source.energy = record.energy


def norm_scale(norm: dict[str, Any]) -> Tensor:
    """Return the factor γ / σ that a batch normalisation applies to each channel [C]."""
    variance: Tensor = norm["running_var"]
    scale: Tensor = norm["weight"] if norm["weight"] is not None else torch.ones_like(variance)
    factor: Tensor = (variance + norm["eps"]).rsqrt()
    return scale * factor


def _moments(rows: Tensor) -> Moments:
    mean = rows.mean(0)
    covariance = rows.T @ rows / len(rows) - mean[:, None] * mean
    return Moments(mean, covariance)
