"""A saved result's network, input and data, for commands that work on it; options that are given go first."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gnnrl.cli import options
from gnnrl.cli.help import typed
from gnnrl.cli.inputs import Fed, Source, is_own
from gnnrl.errors import ArtifactError, ConfigError, DataError

ResultArgument = Annotated[Path, typer.Argument(metavar="DIR", help="What demo or prune saved.", show_default=False)]
_SHAPE, _DATA = "input_shape", "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Options of a command on a saved result; None if the result's own value holds."""

    model: options.SavedModelOption = None
    input_shape: options.InputShapeOption = None
    mean: options.MeanOption = None
    std: options.StdOption = None
    data: options.SavedDataOption = None


def source_facts(source: Source, fed: Fed, data: str) -> dict[str, str]:
    """Return what the manifest says of network, input and data, in the form of options."""
    shape, mean, std = (",".join(map(str, numbers)) for numbers in (fed.shape, fed.mean, fed.std))
    place = str(Path(data).absolute()) if Path(data).exists() else data
    return {"model": source.model, _SHAPE: shape, "mean": mean, "std": std, _DATA: place}


def complete(result: Path, given: Given, *, with_data: bool) -> tuple[Source, str]:
    """Return the network and the data of a saved result: what was given, else what the result says.

    A file is never trusted to name code, so code must be given again.

    Raises:
        ArtifactError: the result is damaged.
        ConfigError: something is neither given nor saved, or is code; the message has the whole command.
        DataError: the saved path of the data does not exist.
    """
    asked = {name: value for name, value in asdict(given).items() if value is not None}
    saved = _saved(result)
    found = saved | asked
    wanted = ["model", *([_DATA] if with_data else []), *([_SHAPE] if is_own(found.get("model", "")) else [])]
    code = {name: found[name] for name in wanted if name in saved.keys() - asked.keys() and is_code(name, found[name])}
    missing = {name: _EXAMPLES[name] for name in wanted if name not in found}
    if code or missing:
        reasons = [f"--{name} {value} is code, and no file may name code" for name, value in code.items()]
        reasons += [f"it does not say --{name.replace('_', '-')}" for name in missing]
        raise ConfigError(f"{result}: {'; '.join(reasons)}. Give it again: {_command(code | missing)}")
    data = found.get(_DATA, "")
    if with_data and _DATA not in asked and data != "digits" and ":" not in data and not Path(data).exists():
        again = _command({_DATA: _EXAMPLES[_DATA]})
        raise DataError(f"{data}, the images of {result}, does not exist any more. Give their place: {again}")
    source = Source(model=found["model"], input_shape=found.get(_SHAPE), mean=found.get("mean"), std=found.get("std"))
    return source, data


_EXAMPLES = {"model": "MODEL", _DATA: "PATH", _SHAPE: "1,3,224,224"}


def _saved(result: Path) -> dict[str, str]:
    """Read what a result says; results of older versions have it in the settings of their run."""
    from gnnrl.artifacts.bundle import read_manifest
    from gnnrl.runs.directory import read_settings
    from gnnrl.storage.layout import RECORDS, SETTINGS

    found: Any = read_manifest(result).get("source")
    if found is None and (result / RECORDS / SETTINGS).is_file():
        asked: Any = read_settings(result / RECORDS).get("options")
        found = {**asked["source"], _DATA: asked.get(_DATA)} if _is_of_a_job(asked) else None
    names = Given.__dataclass_fields__
    values = {name: found[name] for name in names if found.get(name) is not None} if isinstance(found, dict) else {}
    if not all(isinstance(value, str) for value in values.values()):
        raise ArtifactError(f"{result}: its network, input and data must be texts; save the result again")
    return values


def _is_of_a_job(asked: Any) -> bool:
    return isinstance(asked, Mapping) and isinstance(asked.get("source"), Mapping)


def is_code(name: str, value: str) -> bool:
    """Return whether a model or data is named by code."""
    origin = value.partition(":")[0]
    return is_own(value) if name == "model" else ":" in value and origin != "torchvision" and not Path(value).exists()


def _command(more: Mapping[str, str]) -> str:
    """Return the command that was typed, with more options."""
    added = [part for name, value in more.items() for part in (f"--{name.replace('_', '-')}", value)]
    return shlex.join([*typed(), *added])
