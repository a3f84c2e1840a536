"""Networks by name, with inputs and weights that fit them.

    cifar-resnet20            a CIFAR ResNet of 6n + 2 layers
    digits-resnet             the network for the embedded digits
    torchvision:resnet18      any classifier of torchvision
    timm:convnext_tiny        any classifier of timm
    package.module:factory    a function of the user that returns a network
    models/mine.py:factory    the same in a file

Importing this module loads neither torchvision nor timm. A user's module is executed, so its name must come from the
user, never from a file that gnnrl reads.
"""

import ast
import importlib
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from gnnrl.errors import ArtifactError, ConfigError, question
from gnnrl.imports import install_command, made
from gnnrl.zoo.digits import DIGITS_MEAN, DIGITS_STD, DIGITS_WEIGHTS
from gnnrl.zoo.networks import cifar_resnet, digits_resnet
from gnnrl.zoo.weights import load_weights

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR_PREFIX, DIGITS_NAME = "cifar-resnet", "digits-resnet"
OWN_NAMES = (*(f"{CIFAR_PREFIX}{depth}" for depth in (20, 32, 44, 56, 110, 1202)), DIGITS_NAME)
LIBRARIES = ("torchvision", "timm")


@dataclass(frozen=True)
class InputSpec:
    """Shape and normalisation of a network's input."""

    shape: tuple[int, ...]
    """Shape of a batch with one sample: (1, C, H, W) for images."""
    mean: tuple[float, ...]
    """Mean of each channel, in [0, 1]: the network reads (pixel / 255 - mean) / std."""
    std: tuple[float, ...]


def resolve_model(spec: str, *, pretrained: bool = False) -> nn.Module:
    """Build the network of a name.

        model = resolve_model("torchvision:resnet18", pretrained=True)

    Args:
        spec: a name of one of the six kinds in the module's table.
        pretrained: load published weights: those in the package for the digits, a download for torchvision and timm.
            The CIFAR ResNets have no published weights, and a user's factory loads its own.

    Raises:
        ConfigError: the name is unknown, its library is not installed, or the user's factory failed.
        ArtifactError: published weights are not available.
    """
    prefix, colon, name = spec.rpartition(":")
    if not colon:
        return _resolve_own(spec, pretrained)
    if prefix in LIBRARIES:
        return _resolve_library(prefix, name, pretrained)
    _check_spelled(prefix, name)
    network = made(spec)
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{spec}: {name}() returned {type(network).__name__}, not a torch.nn.Module.")
    return network


def input_spec(spec: str) -> InputSpec:
    """Return the shape and normalisation for which a named network was made.

    Raises:
        ConfigError: the name is unknown, or names a user's factory, whose input gnnrl does not know.
    """
    prefix, colon, name = spec.rpartition(":")
    if prefix == "timm":
        return _timm_input(name)
    if prefix == "torchvision":
        return _torchvision_input(name)
    if colon:
        raise ConfigError(f"{spec} is your own network: give the shape of its input (--input-shape 1,3,224,224).")
    if spec == DIGITS_NAME:
        return InputSpec((1, 1, 8, 8), DIGITS_MEAN, DIGITS_STD)
    _own_depth(spec)
    return InputSpec((1, 3, 32, 32), IMAGENET_MEAN, IMAGENET_STD)


def example_inputs(spec: str | InputSpec) -> tuple[Tensor, ...]:
    """Return the arguments of one forward pass: standard normal numbers, the same ones in each call.

    Raises:
        ConfigError: as in `input_spec`.
    """
    shape = (spec if isinstance(spec, InputSpec) else input_spec(spec)).shape
    return (torch.randn(shape, generator=torch.Generator().manual_seed(0)),)


def _resolve_own(spec: str, pretrained: bool) -> nn.Module:
    if spec == DIGITS_NAME:
        network = digits_resnet()
        if pretrained:
            load_weights(network, DIGITS_WEIGHTS)
        return network
    network = cifar_resnet(_own_depth(spec))
    if pretrained:
        raise ConfigError(f"{spec} has no published weights in gnnrl; give a file of weights.")
    return network


def _own_depth(spec: str) -> int:
    depth = spec.removeprefix(CIFAR_PREFIX)
    if spec.endswith(".py"):
        raise ConfigError(_without_factory(Path(spec)))
    if depth == spec or not depth.isdecimal():
        kinds = "torchvision:NAME, timm:NAME, package.module:factory or file.py:factory"
        hint = _elsewhere(spec) or question(spec, OWN_NAMES, most=3)
        raise ConfigError(f"there is no network {spec!r}{f'; {hint}' if hint else '.'} Write others as {kinds}.")
    return int(depth)


def _resolve_library(library: str, name: str, pretrained: bool) -> nn.Module:
    models = _library_with(library, name)
    try:
        if library == "timm":
            network: nn.Module = models.create_model(name, pretrained=pretrained)
        else:
            network = models.get_model(name, weights="DEFAULT" if pretrained else None)
    except (OSError, RuntimeError, ValueError) as error:
        raise ArtifactError(
            f"published weights of {library}:{name} are not available ({error}). "
            "Download them yourself, and give the file of weights."
        ) from error
    return network


def _library_with(library: str, name: str) -> ModuleType:
    """Import a library, and check that it has a network of this name."""
    try:
        models = importlib.import_module("timm" if library == "timm" else "torchvision.models")
    except ImportError as error:
        raise ConfigError(f"{library} cannot be imported ({error}); run: {install_command('vision')}") from error
    known: list[str] = models.list_models()
    # timm's names may have a tag of the weights: resnet50.a1_in1k
    if name not in known and not (library == "timm" and name.split(".")[0] in known):
        hint = question(name, known, most=3) or f"{library}'s list_models() returns all names"
        raise ConfigError(f"{library} has no network {name!r}; {hint}")
    return models


def _timm_input(name: str) -> InputSpec:
    config = _library_with("timm", name).get_pretrained_cfg(name)
    if config is None:
        return InputSpec((1, 3, 224, 224), IMAGENET_MEAN, IMAGENET_STD)
    return InputSpec((1, *config.input_size), tuple(config.mean), tuple(config.std))


def _torchvision_input(name: str) -> InputSpec:
    preset = _library_with("torchvision", name).get_model_weights(name).DEFAULT.transforms()
    side = preset.crop_size[0] if hasattr(preset, "crop_size") else 224
    mean, std = getattr(preset, "mean", IMAGENET_MEAN), getattr(preset, "std", IMAGENET_STD)
    return InputSpec((1, 3, side, side), tuple(mean), tuple(std))


def _check_spelled(module: str, name: str) -> None:
    """Refuse a misspelt library; a module of the user's may have a similar name."""
    near = get_close_matches(module, LIBRARIES, 1)
    if (
        near
        and not any((Path.cwd() / f"{module}{suffix}").exists() for suffix in ("", ".py"))
        and not find_spec(module)
    ):
        raise ConfigError(f"there is no module {module}; did you mean {near[0]}:{name}?")


def _without_factory(path: Path) -> str:
    """Say what to write for a file without a name in it; the file is parsed, not imported."""
    if not path.is_file():
        return f"there is no file {path}; a network in a file is written {path}:NAME"
    try:
        nodes = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        return f"{path} cannot be read as Python: {error}"
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = [f"{path}:{node.name}" for node in nodes if isinstance(node, kinds) and not node.name.startswith("_")]
    if not names:
        return f"{path} defines no class or function; write one that returns the network, and name it: {path}:NAME"
    return f"{path} is a file; name what makes the network: {' or '.join(names[:10])}, as in --model {names[0]}"


def _elsewhere(name: str) -> str:
    """Return a question if an installed library has a network of this name."""
    for library in LIBRARIES:
        with suppress(ConfigError):
            _library_with(library, name)
            return f"did you mean {library}:{name}?"
    return ""
