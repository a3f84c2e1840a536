"""Calibration: statistics of the dense network on its images, recorded once and used by every plan.

For every layer call these are the outputs at sampled positions, which a repaired layer should compute; the covariance
of the inputs of dense layers, which the error curves need; and the energy of the tensor that the result is added to.

Images go through the network together if their largest activation takes at most 1.6 GB, otherwise in parts. The number
of sampled positions does not depend on the parts, and they are the same positions.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnrl.errors import DataError, wants_contiguous
from gnnrl.modules.copies import device_of
from gnnrl.modules.guarding import own_errors
from gnnrl.modules.modes import evaluating
from gnnrl.pruning.calibration.batches import Feed, gather
from gnnrl.pruning.calibration.layer_calls import LayerCall, normalise
from gnnrl.pruning.calibration.readers import Readers
from gnnrl.pruning.calibration.recorder import Recorder
from gnnrl.pruning.calibration.records import LayerRecord, check_alike, check_finite
from gnnrl.pruning.calibration.sampling import Part, Sampler
from gnnrl.pruning.calibration.watch import Observer, watching

ACTIVATION_BUDGET = 1.6e9
"""Bytes of the largest activation of images that go through a network together."""
_SHARE = 3
"""Where images go through in parts, parts are this many times smaller: two of them are in memory."""
_MOST_HELD = 500
_HELD_BYTES = 1e9


@dataclass(frozen=True, slots=True)
class Calibration:
    """Inputs, and statistics of the dense network on them.

    Attributes:
        inputs: all calibration images, in the order of the example inputs; large ones are in memory-mapped files.
        labels: labels of the images, None if the data have none.
        layers: records by the number of the layer call.
        fitted: number of images that are fitted if others are held out, the first ones.
        parts: the images that go through a network together; fitted and held-out images share a part only if it is
            the only one.
        feed: the way in which a network takes the inputs.
        outputs: outputs of the dense network for the held-out images.
        shared: names of parameters and buffers that more than one layer reads, or anything that is not a layer.
        layout: memory format of images.
        device: device of the network.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor | None
    layers: dict[int, LayerRecord]
    fitted: int
    parts: tuple[Part, ...]
    feed: Feed = field(default_factory=Feed)
    outputs: tuple[Tensor, ...] = ()
    shared: frozenset[str] = frozenset()
    layout: torch.memory_format = torch.contiguous_format
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def images(self) -> int:
        """Number of calibration images."""
        return len(self.inputs[0])

    def taken(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Return the inputs of some images, as the network takes them."""
        return _laid_out([value[start:stop].to(self.device) for value in self.inputs], self.layout)

    def like(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Return tensors like the inputs of some images, with any numbers."""
        shapes = ((value, (stop - start, *value.shape[1:])) for value in self.inputs)
        return _laid_out([value.new_empty(shape, device=self.device) for value, shape in shapes], self.layout)

    def outputs_of(self, model: nn.Module, start: int) -> list[Tensor]:
        """Compute the outputs of a network, which are numbers of each image, for the images from the first one on."""
        parts = [part for part in self.parts if part.start >= start] or [Part(start, self.images, self.images)]
        found = []
        with evaluating(model), torch.no_grad():
            for part in parts:
                outputs = self.feed.run(model, self.taken(part.start, part.stop))
                found.append(numbers_of_images(outputs, part.stop - part.start))
        return [torch.cat(column) for column in zip(*found, strict=True)]

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


def fitted_of(images: int, most: int = _MOST_HELD) -> int:
    """Return the number of fitted images of this many: the first three quarters, or all of fewer than 8.

    Args:
        most: largest number of images that are held out.
    """
    return images if images < 8 else images - min(images // 4, most)


@own_errors("calibrating the network")
@torch.no_grad()
def calibrate(
    model: nn.Module,
    data: Iterable[Any],
    *,
    images: int = 500,
    sampler: Sampler | None = None,
    moments: bool = True,
    example_inputs: Any = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Run a dense network on calibration data, and record the statistics that repair and error curves need.

    Args:
        data: batches `x`, `(x, y)`, `(x1, x2)` or `(x1, x2, y)`, inputs in the order of the example inputs, then
            labels, or dictionaries with their keys; read until `images` are seen.
        images: largest number of images. Those that do not fit into memory together go through in parts.
        moments: if True, also collect the covariance of the inputs of dense layers.
        example_inputs: the inputs that the network was traced with: it is called in the same way.
        progress: called with (images that went through, all images).

    Raises:
        DataError: the data have fewer than two images, batches that are not tensors, inputs that the network
            cannot take, or inputs for which layers compute NaN or infinite numbers.
    """
    inputs, labels = gather(data, images, model, example_inputs)
    feed, device = Feed.like(example_inputs), device_of(model)
    try:
        together, most_held, layout = _measured(model, [value[:2].to(device) for value in inputs], feed)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        shapes = ", ".join(f"{value.dtype} of shape {list(value.shape)}" for value in inputs)
        raise DataError(
            f"the network cannot take the calibration data, {shapes}: {str(error).splitlines()[0]}. Give batches "
            "of the network's inputs in the order of its forward, labels last"
        ) from error
    images = len(inputs[0])
    fitted = fitted_of(images, most_held)
    if images <= together:
        inputs = _laid_out([value.to(device) for value in inputs], layout)
    parts = _parts(images, fitted, together)
    empty = Calibration(inputs, labels, {}, fitted, parts, feed, layout=layout, device=device)
    recorder, readers = Recorder(model, sampler or Sampler(), moments, fitted), Readers(model)
    held = []
    for part in parts:
        recorder.part = part
        with watching(model, recorder.observer, readers if part is parts[0] else None):
            outputs = feed.run(model, empty.taken(part.start, part.stop))
        numbers = numbers_of_images(outputs, part.stop - part.start, max(fitted - part.start, 0))
        held.append([leaf.clone() for leaf in numbers])
        progress(part.stop, images)
    layers = recorder.finish(len(parts))
    check_finite(layers.values(), inputs)
    check_alike(layers.values(), images)
    return replace(empty, layers=layers, outputs=tuple(map(torch.cat, zip(*held, strict=True))), shared=readers.shared)


def _parts(images: int, fitted: int, together: int) -> tuple[Part, ...]:
    """Divide images into parts that go through a network together."""
    if images <= together:
        return (Part(0, images, images),)
    size = max(together // _SHARE, 2)
    ends = [0]
    for first, end in ((0, fitted), (fitted, images)):
        count = max((end - first) // size, min(end - first, 1))
        ends += [first + (end - first) * number // count for number in range(1, count + 1)]
    return tuple(Part(start, stop, images) for start, stop in pairwise(ends))


def numbers_of_images(outputs: object, images: int, first: int = 0) -> list[Tensor]:
    """Return the outputs that are numbers of each image, by which networks are compared, from the first image on."""
    leaves = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
    numbers = [leaf for leaf in leaves if leaf.is_floating_point() and leaf.ndim and len(leaf) % images == 0]
    return [leaf[len(leaf) // images * first :] for leaf in numbers]


def _measured(model: nn.Module, inputs: Sequence[Tensor], feed: Feed) -> tuple[int, int, torch.memory_format]:
    """Run two images; return the number of images that fit into a pass, the most to hold out, and the layout.

    Images are in the layout channels-last, in which convolutions and the sampling of their inputs are fastest, if the
    network runs in it.
    """
    largest = 1

    def layer(call: LayerCall) -> Tensor:
        nonlocal largest
        output = call.run()
        largest = max(largest, output.numel() // 2)
        return output

    for layout in (torch.channels_last, torch.contiguous_format):
        try:
            with watching(model, Observer(layer, _normalised, lambda *_: None)):
                outputs = feed.run(model, _laid_out(inputs, layout))
            break
        except RuntimeError as error:
            if layout is torch.contiguous_format or not wants_contiguous(error):
                raise
    each = sum(leaf.nbytes for leaf in numbers_of_images(outputs, 2)) // 2
    return int(max(2, ACTIVATION_BUDGET / 4 / largest)), min(_MOST_HELD, int(_HELD_BYTES / max(each, 1))), layout


def _laid_out(inputs: Iterable[Tensor], layout: torch.memory_format) -> tuple[Tensor, ...]:
    formats = ((value, layout if value.ndim == 4 else torch.contiguous_format) for value in inputs)
    return tuple(value.contiguous(memory_format=chosen) for value, chosen in formats)


def _normalised(arguments: dict[str, Any], _: LayerCall | None) -> Tensor:
    """Normalise as in evaluation mode."""
    return normalise(arguments["input"], arguments)
