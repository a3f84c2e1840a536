"""Networks and images that a command line names, loaded and tried together."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from gnnrl.cli.console import Narrator
from gnnrl.cli.inputs import Source
from gnnrl.errors import ConfigError, DataError, GnnrlError, first_line
from gnnrl.modules.copies import device_of
from gnnrl.modules.outputs import mark, parse_outputs
from gnnrl.network.tracing.admission import check_weights
from gnnrl.scoring.chance import is_guess
from gnnrl.scoring.measures import all_logits, top1
from gnnrl.zoo.batches import batched
from gnnrl.zoo.data import DataSplits, load_data
from gnnrl.zoo.models import IMAGENET_MEAN, IMAGENET_STD, InputSpec, example_inputs, input_spec, resolve_model
from gnnrl.zoo.named_data import is_named, named_data
from gnnrl.zoo.weights import load_weights

EVALUATION_BATCH = 250


@dataclass(frozen=True, slots=True)
class Fed:
    """A network, and the inputs that it takes."""

    model: nn.Module
    spec: InputSpec

    @property
    def example_inputs(self) -> tuple[Tensor, ...]:
        """Arguments of one forward pass."""
        return example_inputs(self.spec)


def load_network(source: Source, device: str, narrator: Narrator) -> Fed:
    """Build the network that a user named, with its weights, on a device; names and files are checked."""
    check_device(device)
    narrator.begin("loading the network")
    model = resolve_model(source.model, pretrained=source.pretrained)
    if source.weights is not None:
        load_weights(model, source.weights)
    check_weights(model)
    mark(model, parse_outputs(source.outputs))
    spec = _read_spec(source)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    narrator.note(f"{source.model}, {parameters:,} parameters")
    return Fed(model.to(device), spec)


def _read_spec(source: Source) -> InputSpec:
    """Take shape, mean and standard deviation from the user, otherwise from the network, otherwise from ImageNet."""
    asked = (("input_shape", int), ("mean", float), ("std", float))
    read = {name.removeprefix("input_"): _numbers(source, name, kind) for name, kind in asked}
    given = {name: numbers for name, numbers in read.items() if numbers}
    if given.keys() == read.keys():
        return InputSpec(**given)  # type: ignore[arg-type]  # the shape is of whole numbers
    try:
        own = input_spec(source.model)
    except ConfigError:
        if "shape" not in given:
            raise
        own = InputSpec((), IMAGENET_MEAN, IMAGENET_STD)
    return replace(own, **given)  # type: ignore[arg-type]


def _numbers(source: Source, name: str, kind: type[int] | type[float]) -> tuple[float, ...]:
    text, option = getattr(source, name) or "", f"--{name.replace('_', '-')}"
    try:
        numbers = tuple(kind(part) for part in text.replace("x", ",").split(",")) if text else ()
    except ValueError:
        raise ConfigError(f"{option} must be numbers joined by commas, such as 1,3,32,32; got {text!r}") from None
    if not all(math.isfinite(number) and (kind is float or number >= 1) for number in numbers):
        raise ConfigError(f"{option} {text!r}: sizes must be at least 1, and all numbers finite")
    return numbers


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"--device {device!r} cannot be used here ({first_line(error)}); choose cpu, or a device that this machine "
            "and this build of PyTorch have"
        ) from error


def load_splits(source: str, fed: Fed, narrator: Narrator, on_guess: Callable[[str], None] | None = None) -> DataSplits:
    """Read the labelled images in the size and normalisation that the network takes, and refuse those that do not fit.

    Args:
        on_guess: function that is called with a sentence if the network recognises no more images than guessing does;
            by default the narrator warns.
    """
    data = _read_splits(source, fed, narrator)
    narrator.note(f"{len(data.train):,} train, {len(data.reward):,} reward, {len(data.test):,} test")
    if data.skipped:
        narrator.warn(f"{len(data.skipped)} images that cannot be decoded are skipped, such as {data.skipped[0]}")
    device = str(device_of(fed.model))
    _check_fits(source, data, fed.model, device)
    sample, shape = list(next(iter(batched(data.train, 2)))[0].shape[1:]), list(fed.spec.shape[1:])
    if sample != shape:
        narrator.warn(
            f"the samples of {source} have shape {sample}, but the network was traced for {shape}: MACs and times "
            "are those of the latter. Give --input-shape"
        )
    share = top1(fed.model, batched(data.reward, EVALUATION_BATCH), device)
    if is_guess(share, len(data.reward), len(data.classes)):
        (on_guess or narrator.warn)(
            f"the network recognises {share:.1%} of the reward images, {len(data.classes)} classes: no more than "
            "guessing. Do weights, --mean, --std and the order of the classes belong to this data?"
        )
    return data


def _read_splits(source: str, fed: Fed, narrator: Narrator) -> DataSplits:
    shape, mean, std = fed.spec.shape, fed.spec.mean, fed.spec.std
    is_own_data = is_named(source) and not source.startswith("torchvision:")
    if not is_own_data and (len(shape) != 4 or shape[1] != len(mean)):
        raise ConfigError(
            f"images need an input of shape 1,C,H,W and a mean for each of the C channels; the shape is "
            f"{','.join(map(str, shape))}, the mean {','.join(map(str, mean))}. Give --input-shape, --mean and --std, "
            "or use gnnrl.compress in Python."
        )
    narrator.begin("reading images", "images")
    height, width = shape[2:] if len(shape) == 4 else (1, 1)
    read = named_data if is_named(source) else partial(load_data, progress=narrator.advance)
    return read(source, image_size=(height, width), mean=mean, std=std)


def _check_fits(source: str, data: DataSplits, model: nn.Module, device: str) -> None:
    """Refuse data that the network cannot take, or that have more classes than it has outputs."""
    for name, split in (("reward", data.reward), ("train", data.train), ("test", data.test)):
        first = next(iter(batched(split, 2)))
        try:
            ((logits, _),) = all_logits(model, [first], device)
        except GnnrlError:
            raise
        except Exception as error:
            kind, shape = str(first[0].dtype).removeprefix("torch."), list(first[0].shape[1:])
            raise DataError(
                f"the network cannot take the {name} samples of {source}, {kind} of shape {shape}: "
                f"{first_line(error)}. Give samples of the shape and type that its forward expects"
            ) from error
        if len(data.classes) > logits.shape[1]:
            raise DataError(
                f"{source} has {len(data.classes)} classes, but the network has {logits.shape[1]} outputs: give the "
                "data that the network was made for, or a network with an output for each class"
            )
