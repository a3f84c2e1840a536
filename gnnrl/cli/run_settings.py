"""A job as the settings of a run: written down when it begins, read back when it goes on.

Nothing that is read is trusted: options are checked as those of a command line, and what names code is refused.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gnnrl.cli.inputs import is_own
from gnnrl.cli.jobs import Job, Sweep
from gnnrl.cli.runs import Found, run_path
from gnnrl.cli.training import Tuning
from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.storage.formats import check_resumable

_KINDS: dict[str, type[Job] | type[Tuning]] = {"prune": Job, "sweep": Sweep, "finetune": Tuning}
_PLACE = ("executor", "workers", "address")
"""Where plans are judged is no part of a run: it changes no result, and no file may name a machine to talk to."""


def written(job: Job | Tuning) -> dict[str, Any]:
    """The settings of a run of this job, with paths that hold from any directory."""
    options = asdict(job)
    for name in ("out", *_PLACE):
        options.pop(name, None)
    weights, data = options["source"]["weights"], Path(options["data"])
    options["source"]["weights"] = None if weights is None else str(weights.absolute())
    options["data"] = str(data.absolute()) if data.exists() else options["data"]
    if isinstance(job, Tuning):
        options["result"] = str(job.result.absolute())
    return {"command": next(name for name, kind in _KINDS.items() if kind is type(job)), "options": options}


def naming(job: Job | Tuning) -> list[str]:
    """Arguments that name code of the user's or machines: `gnnrl resume` takes them from the command line alone."""
    place = {name: str(value) for name in _PLACE if (value := getattr(job, name, None)) not in (None, "serial")}
    return [part for option, name in (_code(job) | place).items() for part in (f"--{option}", name)]


def _code(job: Job | Tuning) -> dict[str, str]:
    model = {"model": job.source.model} if is_own(job.source.model) else {}
    return model | ({"searcher": job.searcher} if isinstance(job, Job) and ":" in job.searcher else {})


def read_job(found: Found, given: Mapping[str, Any]) -> Job | Tuning:
    """The job of a run.

    Args:
        given: `model`, `searcher`, `weights`, `data`, `executor`, `workers` and `address` of the command line, None
            where they were not given.

    Raises:
        ArtifactError: the settings are none of a job, or of a search that this version does not know.
        ConfigError: they name code, which has to be named on the command line.
    """
    from pydantic import TypeAdapter, ValidationError

    kind = _KINDS.get(str(found.settings.get("command")))
    if kind is None:
        known = " or ".join(_KINDS)
        raise ArtifactError(f"{run_path(found.out)} is a run of {found.settings.get('command')!r}, not of {known}")
    check_resumable(run_path(found.out), found.settings)
    asked = {name: value for name, value in given.items() if issubclass(kind, Job) or name not in _PLACE}
    try:
        job: Job | Tuning = TypeAdapter(kind).validate_python(_replaced(found.options, asked) | {"out": found.out})
    except (ValidationError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError(f"the settings of {run_path(found.out)} are none of a job: {error}") from error
    for option, name in _code(job).items():
        if given[option] is None:
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
