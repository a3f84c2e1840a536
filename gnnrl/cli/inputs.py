"""Networks and images as a command line names them, checked before PyTorch is loaded."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gnnrl.cli.completion import complete_model
from gnnrl.cli.options import MODEL, feeding, start
from gnnrl.errors import ArtifactError, ConfigError, DataError

_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")
_SHAPE, _MEAN = "1,3,32,32", "0.5,0.5,0.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeding:
    """Shape and normalisation of the inputs, and the outputs that count; None if the network's own hold."""

    input_shape: Annotated[
        str | None, feeding("Shape of one input, batch first; needed for your own networks.", metavar=_SHAPE)
    ] = None
    mean: Annotated[
        str | None, feeding("Mean of each channel, in 0..1. Default: the network's own or ImageNet's.", metavar=_MEAN)
    ] = None
    std: Annotated[str | None, feeding("Standard deviation of each channel; the same default.", metavar=_MEAN)] = None
    outputs: Annotated[
        str | None,
        feeding(
            "Outputs that must keep their meaning, by name or position; hidden states may change. Default: all.",
            metavar="NAME,...",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Feeding):
    """A network and how it is fed."""

    model: Annotated[str, start(MODEL, metavar="MODEL", show_default=False, autocompletion=complete_model)]
    weights: Annotated[
        Path | None, start("Its trained weights: .safetensors, or a state dict in .pt or .pth.", metavar="FILE")
    ] = None
    pretrained: Annotated[
        bool, feeding("Use published weights (torchvision, timm, digits-resnet).", "--pretrained")
    ] = False

    @property
    def is_own(self) -> bool:
        """True if the network comes from the user's code."""
        return is_own(self.model)

    @property
    def has_weights(self) -> bool:
        """True if the network may have trained weights: given, published, or loaded by the user's code."""
        return bool(self.weights or self.pretrained or self.is_own)


def is_own(model: str) -> bool:
    """Return whether a name stands for the user's code, which may load its weights itself."""
    origin, colon, _ = model.rpartition(":")
    return bool(colon) and origin not in ("torchvision", "timm")


def check_named(source: Source, data: str = "digits", device: str = "cpu") -> None:
    """Refuse missing files and an unknown device, before PyTorch is loaded."""
    if not _DEVICE.fullmatch(device):
        raise ConfigError(f"--device {device!r} is not a device; choose cpu, cuda, cuda:1, mps or xpu")
    if source.weights is not None and source.weights.is_dir():
        raise ArtifactError(
            f"{source.weights} is a folder, not a file of weights. To prune a saved result further, give --model "
            f"file.py:small of a function that returns gnnrl.load(Net(), {str(source.weights)!r}), without --weights"
        )
    if source.weights is not None and not source.weights.is_file():
        raise ArtifactError(f"{source.weights} does not exist; give a file of weights: .safetensors, .pt or .pth")
    if is_missing(data):
        raise DataError(
            f"{data} does not exist; give a folder or archive of class folders, digits, torchvision:NAME or "
            "file.py:factory"
        )


def is_missing(data: str) -> bool:
    """Return whether a name of data is a path that does not exist."""
    return data != "digits" and ":" not in data and not Path(data).exists()
