"""A saved result: a directory with weights, plan and manifest; no pickle, checked by SHA-256, written atomically.

out/weights.safetensors   every parameter and buffer of the small network
out/plan.json             widths and kept units of every group
out/manifest.json         description of the result, and the digests of the other files
out/history.json          data of the report; not needed to load the result
out/report.html           the report; like README.md, the model card, it may be edited or removed
out/run/                  settings and journal of the run that made it; not needed to load the result
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gnnrl.errors import ArtifactError
from gnnrl.modules.copies import copy_network
from gnnrl.network.surgery import restate, stated_sizes, update_attributes
from gnnrl.pruning.plan import Plan
from gnnrl.storage.files import digest, publish_folder, staged
from gnnrl.storage.formats import check_format, stamp
from gnnrl.storage.layout import HISTORY, MANIFEST, PLAN, RECORDS, SWEEP, WEIGHTS, check_target

FORMAT = 1
_LARGEST_JSON = 64 * 2**20


def save(
    directory: str | Path,
    model: nn.Module,
    plan: Plan,
    facts: Mapping[str, Any],
    *,
    documents: Mapping[str, str] | None = None,
    records: Iterable[Path] = (),
    force: bool = False,
) -> Path:
    """Write a small network and its plan.

    Args:
        facts: JSON values that describe the result, for the manifest.
        documents: further texts to write, by file name; the manifest has the digest of the history.
        force: replace an existing directory.
        records: files of the run that made the result; they are copied to `run`.

    Raises:
        ConfigError: the directory is not empty, or cannot be written.
        ResourceError: the disk is full or read-only; the new result is removed, and older files are intact.
    """
    target = Path(directory)
    check_target(target, force=force)
    with staged(target) as staging:
        save_file(
            {name: tensor.detach().contiguous().cpu() for name, tensor in tensors(model).items()}, staging / WEIGHTS
        )
        (staging / PLAN).write_text(plan.dumps())
        for name, text in (documents or {}).items():
            (staging / name).write_text(text)
        digests = {name: digest(staging / name) for name in (WEIGHTS, PLAN, HISTORY) if (staging / name).is_file()}
        manifest = {**stamp(FORMAT), "class": type(model).__name__, "sha256": digests, **facts}
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=1))
        for path in records:
            (staging / RECORDS).mkdir(exist_ok=True)
            shutil.copyfile(path, staging / RECORDS / path.name)
        publish_folder(staging, target)
    return target


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return every parameter and buffer by its first name; tied ones once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def narrowed(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[int]]:
    """Return the dense shapes of the tensors that shrank, for the manifest; `load` needs a network with these."""
    own = {name: tuple(tensor.shape) for name, tensor in tensors(model).items()}
    return {name: list(shape) for name, shape in shapes.items() if own.get(name, shape) != shape}


def read_manifest(directory: str | Path) -> Mapping[str, Any]:
    """Read a manifest and check the digests of its files; the history may be missing.

    Raises:
        ArtifactError: a file is missing, damaged or of another format.
    """
    folder = Path(directory)
    if (folder / SWEEP).is_file():
        results = sorted(entry.parent.name for entry in folder.glob(f"*/{MANIFEST}"))
        raise ArtifactError(f"{folder} holds the results of a sweep; give one of them: {', '.join(results)}")
    manifest = _read_json(folder / MANIFEST)
    check_format(folder / MANIFEST, manifest, FORMAT)
    digests = manifest.get("sha256")
    if not isinstance(digests, dict) or set(digests) - {HISTORY} != {WEIGHTS, PLAN}:
        raise ArtifactError(
            f"{folder / MANIFEST} must name the digests of {WEIGHTS} and {PLAN}, and of nothing else but {HISTORY}"
        )
    for name in digests:
        path = folder / name
        if name == HISTORY and not path.exists():
            continue
        if not path.is_file() or path.is_symlink():
            raise ArtifactError(f"{path} is missing (or a link); save the result again")
        if digest(path) != digests[name]:
            raise ArtifactError(f"{path} is damaged: its SHA-256 is not the one in {MANIFEST}; save the result again")
    return manifest


def read_plan(directory: str | Path) -> Plan:
    """Read the plan of a saved result, or a plan file.

    Raises:
        ArtifactError: the plan is missing or damaged.
    """
    path = Path(directory)
    return Plan.from_dict(_read_json(path / PLAN if path.is_dir() else path))


def load(fresh_model: nn.Module, directory: str | Path) -> nn.Module:
    """Return the small network of a saved result, made from a fresh (dense) instance of the user's class.

    The fresh model is not changed. Nothing that the files name is imported or executed.

    Raises:
        ArtifactError: a file is missing or damaged, or of another network; the message lists the first differences.
    """
    folder = Path(directory)
    manifest = read_manifest(folder)
    try:
        stored = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{folder / WEIGHTS} cannot be read: {error}") from error
    own = tensors(fresh_model)
    if problems := _differences(own, stored, manifest.get("dense")):
        raise ArtifactError(
            f"{folder} holds another network than {type(fresh_model).__name__}: {'; '.join(problems[:5])}"
            f"{f' and {len(problems) - 5} more' if len(problems) > 5 else ''}. "
            "Give the class and settings it was made with."
        )
    memo: dict[int, Tensor] = {}
    place = next((tensor.device for tensor in own.values() if not tensor.is_meta), torch.device("cpu"))
    for name, tensor in own.items():
        # a copy, because the file is mapped into memory: it is not aligned for kernels, and may be removed
        device = place if tensor.is_meta else tensor.device
        value = stored[name].to(device=device, dtype=tensor.dtype, copy=True)
        if isinstance(tensor, nn.Parameter):
            value = nn.Parameter(value, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = value
    small = copy_network(fresh_model, memo)
    update_attributes(small)
    _restate_all(small, manifest.get("attributes", []), folder / MANIFEST)
    return small


def _restate_all(model: nn.Module, entries: Any, path: Path) -> None:
    """Set the sizes that a manifest gives, but only attributes in which the user's modules state a size already."""
    modules = dict(model.named_modules())
    found: list[Any] = entries if isinstance(entries, list) else [entries]
    for entry in found:
        try:
            name, attribute, position, size = (entry[key] for key in ("module", "attribute", "position", "size"))
            stated = [(known, place) for known, place, _ in stated_sizes(modules[name])]
            sound = (attribute, position) in stated and isinstance(size, int) and 0 < size < 2**31
        except (KeyError, TypeError):
            sound = False
        if not sound:
            raise ArtifactError(f"{path} states an attribute that the network does not have: {entry!r}")
        restate(model, name, attribute, position, size)


def _differences(own: Mapping[str, Tensor], stored: Mapping[str, Tensor], dense: Any) -> list[str]:
    """List the differences between tensors and those of the saved network.

    Args:
        dense: dense shapes of the tensors that shrank, by name; results of older versions do not have them.
    """
    problems = [f"{name} is not in the file" for name in own if name not in stored]
    problems += [f"the network has no {name}" for name in stored if name not in own]
    for name in own.keys() & stored.keys():
        a, b = own[name].shape, stored[name].shape
        if len(a) != len(b) or any(small > full for small, full in zip(b, a, strict=True)):
            problems.append(f"{name} is {list(b)} in the file, {list(a)} in the network")
        elif isinstance(dense, dict) and isinstance(own[name], nn.Parameter) and list(a) != dense.get(name, list(b)):
            wanted = dense.get(name, list(b))
            problems.append(f"{name} is {list(a)} in the network, {wanted} in the one that was pruned")
        elif (
            own[name].dtype != stored[name].dtype and own[name].is_floating_point() != stored[name].is_floating_point()
        ):
            problems.append(f"{name} is {stored[name].dtype} in the file, {own[name].dtype} in the network")
    return problems


def _read_json(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist; a saved result has {WEIGHTS}, {PLAN} and {MANIFEST}")
    if path.stat().st_size > _LARGEST_JSON:
        raise ArtifactError(f"{path} is larger than {_LARGEST_JSON // 2**20} MiB, so it is not a plan or manifest")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path} must hold a JSON object")
    return document
