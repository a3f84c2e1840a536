"""A job as the settings of a run: written down when it begins, read back when it goes on.

Nothing that is read is trusted: options are checked as those of a command line, and what names code is refused.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gnnrl.cli.job import Job
from gnnrl.cli.running import Found, run_path
from gnnrl.cli.sources import is_own
from gnnrl.errors import ArtifactError, ConfigError

COMMAND = "prune"
_PLACE = ("executor", "workers", "address")
"""Where plans are judged is no part of a run: it changes no result, and no file may name a machine to talk to."""


def written(job: Job) -> dict[str, Any]:
    """The settings of a run of this job, with paths that hold from any directory."""
    options = asdict(job)
    for name in ("out", *_PLACE):
        options.pop(name, None)
    weights, data = options["source"]["weights"], Path(options["data"])
    options["source"]["weights"] = None if weights is None else str(weights.absolute())
    options["data"] = str(data.absolute()) if data.exists() else options["data"]
    return {"command": COMMAND, "options": options}


def naming(job: Job) -> list[str]:
    """Arguments that name code of the user's or machines: `gnnrl resume` takes them from the command line alone."""
    model = ["--model", job.source.model] if is_own(job.source.model) else []
    searcher = ["--searcher", job.searcher] if ":" in job.searcher else []
    place = {name: str(value) for name in _PLACE if (value := getattr(job, name)) not in (None, "serial")}
    return [*model, *searcher, *(part for name, value in place.items() for part in (f"--{name}", value))]


def read_job(found: Found, given: Mapping[str, Any]) -> Job:
    """The job of a run.

    Args:
        given: `model`, `searcher`, `weights`, `data`, `executor`, `workers` and `address` of the command line, None
            where they were not given.

    Raises:
        ArtifactError: the settings are none of a job.
        ConfigError: they name code, which has to be named on the command line.
    """
    from pydantic import TypeAdapter, ValidationError

    settings = found.settings
    if settings.get("command") != COMMAND:
        raise ArtifactError(f"{run_path(found.out)} is a run of {settings.get('command')!r}, not of {COMMAND}")
    try:
        job = TypeAdapter(Job).validate_python(_replaced(found.options, given) | {"out": found.out})
    except (ValidationError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError(f"the settings of {run_path(found.out)} are none of a job: {error}") from error
    for option, name, code in (
        ("model", job.source.model, is_own(job.source.model)),
        ("searcher", job.searcher, ":" in job.searcher),
    ):
        if code and given[option] is None:
            raise ConfigError(
                f"{run_path(found.out)} was begun with --{option} {name}, which is code, and no file may name code. "
                f"Give it again: gnnrl resume {found.out} --{option} {name}"
            )
    return job


def _replaced(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in options.items() if name not in _PLACE}
    replaced = {name: given[name] for name in ("searcher", "data", *_PLACE) if given.get(name) is not None}
    source = {name: given[name] for name in ("model", "weights") if given[name] is not None}
    return {**kept, **replaced, "source": {**options["source"], **source}}
