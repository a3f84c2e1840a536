"""A job as the settings of a run: written when the run starts, and read when it is resumed.

Nothing that is read is trusted: options are checked like those of a command line, and names of code are refused.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from gnnrl.cli.console import Narrator
from gnnrl.cli.inputs import is_own
from gnnrl.cli.jobs import Job, Place, Sweep
from gnnrl.cli.options import option
from gnnrl.cli.runs import Found, Session, resume_command, running
from gnnrl.cli.training import Tuning
from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.storage.formats import check_resumable

_KINDS: dict[str, type[Job] | type[Tuning]] = {"prune": Job, "sweep": Sweep, "finetune": Tuning}


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Options of a resumed run that are given again; None if those of the run hold."""

    model: Annotated[
        str | None, option("The network again, if it is your code: no file may name code.", metavar="MODEL")
    ] = None
    searcher: Annotated[str | None, option("The searcher again, if it is your code.", metavar="NAME")] = None
    weights: Annotated[Path | None, option("The weights, if they were moved.", metavar="FILE")] = None
    data: Annotated[str | None, option("The images, if they were moved.", metavar="PATH")] = None


def written(job: Job | Tuning) -> Mapping[str, Any]:
    """Return the settings of a run of this job; its paths hold from any directory.

    The place where plans are scored is left out: no file may name a machine to talk to.
    """
    options = {name: value for name, value in asdict(job).items() if name not in ("out", "place")}
    weights, data = options["source"]["weights"], Path(options["data"])
    options["source"]["weights"] = None if weights is None else str(weights.absolute())
    options["data"] = str(data.absolute()) if data.exists() else options["data"]
    if isinstance(job, Tuning):
        options["result"] = str(job.result.absolute())
    return {"command": next(name for name, kind in _KINDS.items() if kind is type(job)), "options": options}


def running_job(job: Job | Tuning, narrator: Narrator, found: Found | None) -> AbstractContextManager[Session]:
    """Hold the run of a job: the one that was found, otherwise a new one. Raises as `gnnrl.cli.runs.running` does."""
    settings = written(job) if found is None else found.settings
    repair = found is not None and found.repair
    return running(job.out, settings, narrator, force=job.force, arguments=to_be_given(job), repair=repair)


def to_be_given(job: Job | Tuning) -> list[str]:
    """Return the arguments that `gnnrl resume` only takes from the command line: code, and the place."""
    place = asdict(job.place) if isinstance(job, Job) else {}
    again = _code(job) | {name: str(value) for name, value in place.items() if value not in (None, "serial")}
    return [part for name, value in again.items() for part in (f"--{name}", value)]


def _code(job: Job | Tuning) -> dict[str, str]:
    """Return the options that name code; only the command line may give them."""
    model = {"model": job.source.model} if is_own(job.source.model) else {}
    return model | ({"searcher": job.searcher} if isinstance(job, Job) and ":" in job.searcher else {})


def read_job(found: Found, again: Again, place: Place | None = None) -> Job | Tuning:
    """Return the job of a run, with options that are given again.

    Raises:
        ArtifactError: the settings are not those of a job, or of a search that this version does not know.
        ConfigError: they name code, which must be given on the command line.
    """
    from pydantic import TypeAdapter, ValidationError

    kind = _KINDS.get(str(found.settings.get("command")))
    if kind is None:
        known = " or ".join(_KINDS)
        raise ArtifactError(f"{found.path} is a run of {found.settings.get('command')!r}, not of {known}")
    check_resumable(found.path, dict(found.settings))
    try:
        options = _replaced(found.options, again) | {"out": found.out}
        if place is not None and issubclass(kind, Job):
            options["place"] = place
        job: Job | Tuning = TypeAdapter(kind).validate_python(options)
    except (ValidationError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError(f"the settings of {found.path} are not those of a job: {error}") from error
    for name, value in _code(job).items():
        if getattr(again, name) is None:
            raise ConfigError(
                f"{found.path} was started with --{name} {value}, which is code, and no file may name code. "
                f"Give it again: {resume_command(found.out, f'--{name}', value)}"
            )
    return job


def _replaced(options: Mapping[str, Any], again: Again) -> dict[str, object]:
    """Return options with those that are given again, and without any that name a place."""
    given = {name: value for name, value in asdict(again).items() if value is not None}
    source = {name: given.pop(name) for name in ("model", "weights") if name in given}
    kept = {name: value for name, value in options.items() if name not in ("place", *Place.__dataclass_fields__)}
    return {**kept, **given, "source": {**options["source"], **source}}
