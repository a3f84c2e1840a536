"""The network, the input and the data of a saved result, for commands that work on it; given options override them."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnrl.cli.completion import complete_data, complete_model
from gnnrl.cli.help import typed
from gnnrl.cli.inputs import Feeding, Source, check_named, is_missing, is_own
from gnnrl.cli.options import start
from gnnrl.errors import ArtifactError, ConfigError, DataError
from gnnrl.storage.layout import RECORDS, SETTINGS

if TYPE_CHECKING:
    from gnnrl.cli.loading import Fed

ResultArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="The directory that demo or prune saved.", show_default=False)
]
_EXAMPLES = {"model": "MODEL", "data": "PATH", "input_shape": "1,3,224,224"}
"""Placeholders of options that a message asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given(Feeding):
    """Options of a command on a saved result; None if the result's own value holds."""

    model: Annotated[
        str | None,
        start("Default: the network of DIR; code must be named again.", metavar="MODEL", autocompletion=complete_model),
    ] = None
    data: Annotated[
        str | None,
        start("Default: the images of DIR; code must be named again.", metavar="PATH", autocompletion=complete_data),
    ] = None


def source_facts(source: Source, fed: "Fed", data: str) -> dict[str, str]:
    """Return what the manifest records of network, input and data, in the form of options."""
    spec = fed.spec
    shape, mean, std = (",".join(map(str, numbers)) for numbers in (spec.shape, spec.mean, spec.std))
    place = str(Path(data).absolute()) if Path(data).exists() else data
    outputs = {} if source.outputs is None else {"outputs": source.outputs}
    return {"model": source.model, "input_shape": shape, "mean": mean, "std": std, **outputs, "data": place}


def complete(result: Path, given: Given, *, with_data: bool, device: str = "cpu") -> tuple[Source, str]:
    """Return the network and the data of a saved result: the given ones, otherwise those that it records.

    A file is never trusted to name code, so code must be given again. Paths are checked before PyTorch is loaded, and
    errors show the whole command.
    """
    if not result.exists():
        raise ArtifactError(f"{result} does not exist; give the directory that demo or prune saved")
    asked = {name: value for name, value in asdict(given).items() if value is not None}
    check_named(Source(model=""), asked.get("data", "digits") if with_data else "digits", device)
    saved = _saved(result)
    found = saved | asked
    wanted = ["model", *(["data"] if with_data else []), *(["input_shape"] if is_own(found.get("model", "")) else [])]
    code = {name: found[name] for name in wanted if name in saved.keys() - asked.keys() and is_code(name, found[name])}
    missing = {name: _EXAMPLES[name] for name in wanted if name not in found}
    if code or missing:
        reasons = [f"--{name} {value} is code, and no file may name code" for name, value in code.items()]
        reasons += [f"it does not record --{name.replace('_', '-')}" for name in missing]
        raise ConfigError(f"{result}: {'; '.join(reasons)}. Give it again: {_command(code | missing)}")
    data = found.get("data", "")
    if with_data and is_missing(data):
        again = _command({"data": _EXAMPLES["data"]})
        raise DataError(f"{data}, the images of {result}, does not exist any more. Give their new place: {again}")
    feeding: Any = {name: found.get(name) for name in Feeding.__dataclass_fields__}
    return Source(model=found["model"], **feeding), data


def _saved(result: Path) -> dict[str, str]:
    """Read what a result records; results of older versions have it in the settings of their run."""
    from gnnrl.artifacts.bundle import read_manifest
    from gnnrl.runs.directory import read_settings

    found: Any = read_manifest(result).get("source")
    if found is None and (result / RECORDS / SETTINGS).is_file():
        asked: Any = read_settings(result / RECORDS).get("options")
        is_of_a_job = isinstance(asked, Mapping) and isinstance(asked.get("source"), Mapping)
        found = {**asked["source"], "data": asked.get("data")} if is_of_a_job else None
    names = Given.__dataclass_fields__
    values = {name: found[name] for name in names if found.get(name) is not None} if isinstance(found, dict) else {}
    if not all(isinstance(value, str) for value in values.values()):
        raise ArtifactError(f"{result}: its network, input and data must be texts; save the result again")
    return values


def is_code(name: str, value: str) -> bool:
    """Return whether a model or data is named by code."""
    origin = value.partition(":")[0]
    return is_own(value) if name == "model" else ":" in value and origin != "torchvision" and not Path(value).exists()


def _command(more: Mapping[str, str]) -> str:
    """Return the command that was typed, with more options."""
    added = [part for name, value in more.items() for part in (f"--{name.replace('_', '-')}", value)]
    return shlex.join([*typed(), *added])
