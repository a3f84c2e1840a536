"""Files of weights: they are read without running code, and loaded only if all weights fit the network."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gnnrl.errors import ArtifactError, first_line

PICKLE_SUFFIXES = (".pt", ".pth", ".th", ".bin", ".ckpt", ".tar")
WRAPPERS = ("model", "model_state_dict", "state_dict")
PREFIXES = ("module.", "_orig_mod.")
SHOWN_DIFFERENCES = 5
SAVE_HINT = "save its weights with safetensors.torch.save_model(model, 'weights.safetensors')"
_FACTORIES = {
    "torchvision": "from torchvision.models import resnet18\n      return resnet18(num_classes={})",
    "timm": "import timm\n      return timm.create_model('vit_tiny_patch16_224', num_classes={})",
}
"""Examples that make a library's network with another number of outputs."""


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a file of weights into a network. If any weight does not fit, the network is not changed.

    Safetensors and state dicts saved by torch (.pt, .pth) are accepted, also inside {"state_dict": ...} or
    {"model": ...}, and with the prefix that DataParallel or torch.compile adds to every name.

    Raises:
        ArtifactError: the file is missing, damaged, could run code, belongs to another network, or holds numbers
            that are not finite.
    """
    path = Path(path)
    own = model.state_dict()
    tensors = _add_tied(_strip(_read(path), own), own)
    differences = _compare(own, tensors)
    if differences:
        more, library = len(differences) - SHOWN_DIFFERENCES, type(model).__module__.partition(".")[0]
        raise ArtifactError(
            f"{path}: the weights do not fit {type(model).__name__}:\n"
            + "\n".join(f"  - {difference}" for difference in differences[:SHOWN_DIFFERENCES])
            + (f"\n  - and {more} more" if more > 0 else "")
            + "\n"
            + (
                _other_outputs(own, tensors, library)
                or "Give the network of these weights, or the weights of this network."
            )
        )
    for name, tensor in tensors.items():
        if (tensor.is_floating_point() or tensor.is_complex()) and not tensor.isfinite().all():
            count = int((~tensor.isfinite()).sum())
            raise ArtifactError(f"{path}: {count:,} numbers of {name} are NaN or infinite; the training diverged.")
    model.load_state_dict(tensors)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file of weights.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix not in PICKLE_SUFFIXES:
            raise ArtifactError(
                f"{path}: weights are read from .safetensors, or from state dicts in .pt and .pth. A .pt2 is a program "
                f"that can run any code when it is loaded: if you trust it, load it yourself and {SAVE_HINT}."
            )
        _refuse_program(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ArtifactError(
            f"{path}: the file holds more than tensors. Loading it could run any code, so it was not loaded. "
            f"If you trust the file, load the network yourself and {SAVE_HINT}."
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path}: the file is damaged, or not a file of weights ({first_line(error)}).") from error
    return _unwrap(path, content)


def _refuse_program(path: Path) -> None:
    """Refuse TorchScript and exported programs with any file name."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    if any(name.startswith(("code/", "models/")) or name == "archive_format" for name in names):
        raise ArtifactError(
            f"{path}: this is not a state dict, but a TorchScript or exported program, which can run any code. "
            f"If you trust the file, load it yourself and {SAVE_HINT}."
        )


def _unwrap(path: Path, content: object) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise ArtifactError(f"{path}: the file holds a {type(content).__name__}, not a state dict; {SAVE_HINT}.")
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise ArtifactError(f"{path}: {name!r} is a {type(value).__name__}, not a tensor; {SAVE_HINT}.")
    return dict(content)


def _strip(tensors: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove a wrapper's prefix that all names in the file have and none in the network has."""
    for prefix in PREFIXES * 2:
        if all(name.startswith(prefix) for name in tensors) and not any(name.startswith(prefix) for name in own):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _add_tied(tensors: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the other names of tied parameters, because safetensors saves each tensor once."""
    saved = {_identity(tensor): name for name, tensor in own.items() if name in tensors}
    tied = {
        name: tensors[saved[_identity(tensor)]]
        for name, tensor in own.items()
        if name not in tensors and _identity(tensor) in saved
    }
    return tensors | tied


def _identity(tensor: Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride()


def _other_outputs(own: Mapping[str, Tensor], found: Mapping[str, Tensor], library: str) -> str:
    """Return advice if only the number of outputs differs, else ""."""
    other = [name for name in own if name in found and found[name].shape != own[name].shape]
    ends = {(own[name].shape[:1], found[name].shape[:1]) for name in other}
    same = all(own[name].shape[1:] == found[name].shape[1:] for name in other)
    if own.keys() != found.keys() or not same or len(ends) != 1 or len({name.rpartition(".")[0] for name in other}) > 1:
        return ""
    ((mine, theirs),) = ends
    example = _FACTORIES.get(library, _FACTORIES["torchvision"])
    return (
        f"Only the outputs differ, {theirs[0]} instead of {mine[0]}. Make the network in your own file, net.py:\n"
        f"  def net():\n      {example.format(theirs[0])}\n"
        "or as it was made, and name it net.py:net. Also give --input-shape, --mean and --std."
    )


def _compare(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """List differences between a file's and a network's tensors: shapes, missing tensors, unknown tensors."""
    shapes = [
        f"{name} is {list(found[name].shape)} in the file, {list(tensor.shape)} in the network"
        for name, tensor in own.items()
        if name in found and found[name].shape != tensor.shape
    ]
    # files from before PyTorch 0.4.1 lack this count, which only BatchNorm without momentum reads
    missing = [
        f"{name} is missing in the file"
        for name in own
        if name not in found and not name.endswith("num_batches_tracked")
    ]
    unexpected = [f"{name} is unknown to the network" for name in sorted(found) if name not in own]
    return shapes + missing + unexpected
