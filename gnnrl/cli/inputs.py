"""Networks and images as a command line names them, loaded and made to fit each other."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrl.cli import options
from gnnrl.cli.console import Narrator
from gnnrl.errors import ArtifactError, ConfigError, DataError, GnnrlError, first_line

if TYPE_CHECKING:
    from torch import nn

    from gnnrl.zoo.data import DataSplits

EVALUATION_BATCH = 250
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A network and how it is fed; None where the network's own settings hold."""

    model: options.ModelOption
    weights: options.WeightsOption = None
    pretrained: options.PretrainedOption = False
    input_shape: options.InputShapeOption = None
    mean: options.MeanOption = None
    std: options.StdOption = None


def is_own(model: str) -> bool:
    """Whether a name stands for a factory of the user's, which may load its weights itself."""
    origin, colon, _ = model.rpartition(":")
    return bool(colon) and origin not in ("torchvision", "timm")


def has_weights(source: Source) -> bool:
    """Whether a network can have trained weights: given, published, or loaded by a factory of the user's."""
    return bool(source.weights or source.pretrained or is_own(source.model))


@dataclass(frozen=True, slots=True)
class Fed:
    """A network with what it is fed with."""

    model: "nn.Module"
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def example_inputs(self) -> Any:
        """Arguments of one forward pass."""
        from gnnrl.zoo.models import InputSpec, example_inputs

        return example_inputs(InputSpec(self.shape, self.mean, self.std))


def load_network(source: Source, device: str, narrator: Narrator) -> Fed:
    """Build the network that a user named, with its weights, on a device.

    Raises:
        ConfigError: the name, the shape, the normalisation or the device is wrong.
        ArtifactError: the file of weights does not fit.
    """
    from gnnrl.network.tracing.admission import check_weights
    from gnnrl.zoo.models import resolve_model
    from gnnrl.zoo.weights import load_weights

    check_device(device)
    narrator.begin("loading the network")
    model = resolve_model(source.model, pretrained=source.pretrained)
    if source.weights is not None:
        load_weights(model, source.weights)
    check_weights(model)
    shape, mean, std = _read_input(source)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    narrator.note(f"{source.model}, {parameters:,} parameters")
    return Fed(model.to(device), shape, mean, std)


def _read_input(source: Source) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
    """Take shape, mean and standard deviation from the user, else from the network, else from ImageNet."""
    from gnnrl.zoo.models import IMAGENET_MEAN, IMAGENET_STD, input_spec

    given = (
        _numbers("--input-shape", source.input_shape, int),
        *(_numbers(name, text, float) for name, text in (("--mean", source.mean), ("--std", source.std))),
    )
    if all(given):
        return given  # type: ignore[return-value]
    try:
        own = input_spec(source.model)
    except ConfigError:
        if given[0] is None:
            raise
        return given[0], given[1] or IMAGENET_MEAN, given[2] or IMAGENET_STD  # type: ignore[return-value]
    return given[0] or own.shape, given[1] or own.mean, given[2] or own.std  # type: ignore[return-value]


def _numbers(name: str, text: str | None, kind: type[int] | type[float]) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(kind(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        raise ConfigError(f"{name} must be numbers joined by commas, such as 1,3,32,32; got {text!r}") from None
    if not all(math.isfinite(number) for number in numbers) or (kind is int and min(numbers) < 1):
        raise ConfigError(f"{name} {text!r}: sizes must be at least 1, and all numbers finite")
    return numbers


def check_named(source: Source, data: str, device: str = "cpu") -> None:
    """Refuse files that are not there and a device of no kind, before PyTorch is loaded.

    Raises:
        ConfigError, ArtifactError, DataError: what is wrong with device, weights or data.
    """
    if not _DEVICE.fullmatch(device):
        raise ConfigError(f"--device {device!r} is no device; choose cpu, cuda, cuda:1, mps or xpu")
    if source.weights is not None and source.weights.is_dir():
        raise ArtifactError(
            f"{source.weights} is a folder, not a file of weights. To go on with a saved result, give --model "
            f"file.py:small of a function that returns gnnrl.load(Net(), {str(source.weights)!r}), without --weights"
        )
    if source.weights is not None and not source.weights.is_file():
        raise ArtifactError(
            f"{source.weights}: no such file of weights; give a .safetensors, .pt or .pth that is there"
        )
    if data != "digits" and ":" not in data and not Path(data).exists():
        raise DataError(
            f"{data}: no such file or folder; give a folder or archive of class folders, digits, torchvision:NAME or "
            "file.py:factory"
        )


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        ConfigError: nothing can be computed there.
    """
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"--device {device!r} cannot be used here ({first_line(error)}); choose cpu, or a device that this machine "
            "and this build of PyTorch have"
        ) from error


def load_splits(
    source: str,
    fed: Fed,
    narrator: Narrator,
    judged: "nn.Module | None" = None,
    on_guess: Callable[[str], None] | None = None,
) -> "DataSplits":
    """Read the labelled images in the size and normalisation that the network is fed with.

    Args:
        judged: the network to check, by default the one that is fed.
        on_guess: called with a sentence if the network recognises no more than guessing does; warns by default.

    Raises:
        ConfigError: the network does not take images.
        DataError: the data is unusable, or has more classes than the network tells apart.
    """
    from gnnrl.scoring.chance import is_guess
    from gnnrl.scoring.measures import top1
    from gnnrl.zoo.batches import batched
    from gnnrl.zoo.data import load_data
    from gnnrl.zoo.named_data import is_named, named_data

    is_own_data = is_named(source) and not source.startswith("torchvision:")
    if not is_own_data and (len(fed.shape) != 4 or fed.shape[1] != len(fed.mean)):
        shape = ",".join(map(str, fed.shape))
        raise ConfigError(
            f"images need an input of shape 1,C,H,W and a mean for each of the C channels; the shape is {shape}, the "
            f"mean {','.join(map(str, fed.mean))}."
            " Give --input-shape, --mean and --std, or use gnnrl.compress in Python."
        )
    narrator.begin("reading images", "images")
    height, width = fed.shape[2:] if len(fed.shape) == 4 else (1, 1)
    if is_named(source):
        data = named_data(source, image_size=(height, width), mean=fed.mean, std=fed.std)
    else:
        data = load_data(source, image_size=(height, width), mean=fed.mean, std=fed.std, progress=narrator.advance)
    narrator.note(f"{len(data.train):,} train, {len(data.reward):,} reward, {len(data.test):,} test")
    if data.skipped:
        narrator.warn(f"{len(data.skipped)} images cannot be decoded and are left out, {data.skipped[0]} among them")
    model = judged or fed.model
    device = str(next(model.parameters()).device)
    _check_fits(source, data, model, device)
    sample = tuple(next(iter(batched(data.train, 2)))[0].shape[1:])
    if sample != fed.shape[1:]:
        narrator.warn(
            f"{source} gives samples of shape {list(sample)}, and the network was traced for {list(fed.shape[1:])}: "
            "MACs and times are told of the latter; give --input-shape"
        )
    share = top1(model, batched(data.reward, EVALUATION_BATCH), device)
    if is_guess(share, len(data.reward), len(data.classes)):
        (on_guess or narrator.warn)(
            f"the network recognises {share:.1%} of the reward images, {len(data.classes)} classes: no more than "
            "guessing. Do weights, --mean, --std and the order of the classes belong to this data?"
        )
    return data


def _check_fits(source: str, data: "DataSplits", model: "nn.Module", device: str) -> None:
    """Refuse data that the network cannot take, or of more classes than it has outputs, wherever in them."""
    from gnnrl.scoring.measures import all_logits
    from gnnrl.zoo.batches import batched

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
                f"{source} has {len(data.classes)} classes, the network tells {logits.shape[1]} apart: give the data "
                "that the network was made for, or a network with an output for each class"
            )
