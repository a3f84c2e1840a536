"""Runs of the command line: kept next to the result until it is complete, interrupted safely, and resumed.

small.run/    during the run: settings, journal, snapshots (`gnnrl.runs.directory`)
small/        the result, written at the end as a whole; settings and journal move into small/run
"""

import json
import secrets
import shlex
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrl.cli.console import Narrator
from gnnrl.errors import ArtifactError, ConfigError, GnnrlError, GnnrlWarning, RunInUse, is_out_of_memory
from gnnrl.runs.interruption import Interrupted, Interruption
from gnnrl.storage.layout import JOURNAL, MANIFEST, RECORDS, SETTINGS

if TYPE_CHECKING:
    from gnnrl.runs.directory import RunDirectory

PATIENT_STAGES = ("search", "finetune")
"""Stages that finish their current step after Ctrl-C; other stages end at once."""
_SWEEP = "sweep"
"""Key of the settings of a limit's run that names the run of its sweep."""


@dataclass(frozen=True, slots=True)
class Session:
    """A run that this process works on."""

    directory: "RunDirectory"
    interruption: Interruption

    def enter(self, stage: str) -> None:
        """Begin a stage; end the command here if it was interrupted."""
        self.interruption.check()
        self.interruption.is_patient = stage in PATIENT_STAGES


@dataclass(frozen=True, slots=True)
class Found:
    """A run that was started earlier.

    Attributes:
        out: place of its result.
        is_finished: whether the result is complete.
        repair: resume before the first damaged line of the journal.
    """

    out: Path
    settings: Mapping[str, Any]
    is_finished: bool
    repair: bool = False

    @property
    def path(self) -> Path:
        """The run directory."""
        return run_path(self.out)

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of its command."""
        options = self.settings.get("options")
        if not isinstance(options, dict) or not isinstance(self.settings.get("command"), str):
            raise ArtifactError(f"{self.path} was not started by the command line; resume it in Python")
        return options

    @property
    def can_be_extended(self) -> bool:
        """True if a search of the command line made the result: neither a closed form nor fine-tuning."""
        from gnnrl.searchers.table import CLOSED_FORM

        try:
            options = self.options
        except ArtifactError:
            return False
        return type(options.get("episodes")) is int and options.get("searcher") not in CLOSED_FORM


def run_path(out: Path) -> Path:
    """Return the run directory of a result."""
    named = out if out.name else out.absolute()
    return named.with_name(f"{named.name}.run")


@contextmanager
def running(
    out: Path,
    settings: Mapping[str, Any],
    narrator: Narrator,
    *,
    force: bool,
    arguments: Sequence[str] = (),
    repair: bool = False,
) -> Iterator[Session]:
    """Hold the run of a result; if it is interrupted or fails, the error says how to resume it.

    Args:
        settings: command and options, written if the run is new.
        force: replace an earlier run of this result, which is refused otherwise.
        arguments: what `gnnrl resume` must be given again.
        repair: see `RunDirectory`.
    """
    command = resume_command(out, *arguments)
    interruption = Interruption(narrator.warn)
    with showing_warnings(narrator), interruption.handled():
        directory = _hold(out, settings, command, force=force, repair=repair)
        try:
            with directory:
                yield Session(directory, interruption)
        except (Exception, Interrupted) as error:
            is_explained = isinstance(error, GnnrlError | Interrupted) or is_out_of_memory(error)
            if is_explained and not isinstance(error, RunInUse) and directory.path.exists():
                error.add_note(f"Resume with: {command}")
            raise


@contextmanager
def running_part(
    whole: Session, out: Path, settings: Mapping[str, Any], *, force: bool, repair: bool
) -> Iterator[Session]:
    """Hold the run of one limit of a sweep: a new one, or one that the same sweep started."""
    named = {**settings, _SWEEP: whole.directory.settings["id"]}
    with _hold(out, named, resume_command(out), force=force, repair=repair) as directory:
        yield Session(directory, whole.interruption)


def resume_command(out: Path, *arguments: str) -> str:
    """Return the command that resumes the run of a result."""
    return shlex.join(["gnnrl", "resume", str(out), *arguments])


def is_part(whole: Session, folder: Path) -> bool:
    """Return whether the settings in a folder are of a limit of this run of a sweep."""
    return _names(folder, _SWEEP, whole.directory.settings["id"])


def _names(folder: Path, key: str, value: str) -> bool:
    """Return whether a folder has the settings of a run, and they say this."""
    from gnnrl.runs.directory import read_settings

    return (folder / SETTINGS).exists() and read_settings(folder).get(key) == value


def refuse_part(found: Found) -> None:
    """Refuse to resume one limit of an unfinished sweep alone."""
    sweep = found.out.absolute().parent
    if _SWEEP in found.settings and _names(run_path(sweep), "id", found.settings[_SWEEP]):
        command = resume_command(found.out.parent)
        raise ConfigError(f"{found.out} is one limit of a sweep that has not ended; resume it with: {command}")


def _hold(out: Path, settings: Mapping[str, Any], command: str, *, force: bool, repair: bool) -> "RunDirectory":
    from gnnrl.runs.directory import RunDirectory

    path = run_path(out)
    directory = RunDirectory(path, settings, repair=repair)
    own = [name for name in ("id", _SWEEP) if name in settings]
    if directory.is_new or any(settings[name] == directory.settings.get(name) for name in own):
        return directory
    if not force:
        directory.close()
        raise ConfigError(f"{path} holds an interrupted run: resume it with `{command}`, or start again with --force")
    directory.remove()
    return RunDirectory(path, settings)


@contextmanager
def showing_warnings(narrator: Narrator) -> Iterator[None]:
    """Let the narrator report gnnrl's warnings."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def report(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, GnnrlWarning):
                narrator.warn(str(message))
            else:
                show(message, category, *place, **more)

        warnings.simplefilter("always", GnnrlWarning)
        warnings.showwarning = report
        yield


def find_run(result: Path) -> Found:
    """Find the run of a result, or of its run directory."""
    from gnnrl.runs.directory import read_settings

    named = result if result.name else result.absolute()
    out = named.with_name(named.name.removesuffix(".run"))
    path, done = run_path(out), out / RECORDS
    finished = read_settings(done) if (done / SETTINGS).exists() and (out / MANIFEST).exists() else None
    started = read_settings(path) if (path / SETTINGS).exists() else None
    if started is not None and (finished is None or finished["id"] != started["id"]):
        return Found(out, started, is_finished=False)
    if finished is not None:
        return Found(out, finished, is_finished=True)
    raise ConfigError(f"there is no run of {out}: neither {path} nor {done}; start one with `gnnrl prune --out {out}`")


def tidy(out: Path) -> None:
    """Remove the run of a finished result, which is left if the process was killed after its last step."""
    from gnnrl.runs.directory import RunDirectory

    if run_path(out).exists():
        RunDirectory(run_path(out)).remove()


def extend(found: Found, more: int) -> Found:
    """Start a run that continues a finished one, with more evaluations."""
    from gnnrl.storage.files import publish_folder, staged

    options = found.options
    if not found.can_be_extended:
        raise ConfigError(f"{found.out} is not the result of a search; only a search can be extended")
    options = {**options, "episodes": options["episodes"] + more, "force": True}
    kept = {name: value for name, value in found.settings.items() if name != _SWEEP}
    settings = {**kept, "id": secrets.token_hex(8), "options": options}
    with staged(found.path) as staging:
        shutil.copyfile(found.out / RECORDS / JOURNAL, staging / JOURNAL)
        (staging / SETTINGS).write_text(json.dumps(settings, indent=1))
        publish_folder(staging, found.path)
    return replace(found, settings=settings, is_finished=False)
