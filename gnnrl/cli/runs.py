"""A run of the command line: kept beside its result until that is there, interrupted in order, taken up again.

small.run/    while the run lasts: settings, journal, snapshots (`gnnrl.runs.directory`)
small/        the result, there as a whole at the end; settings and journal move into small/run
"""

import json
import secrets
import shlex
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrl.cli.console import Narrator
from gnnrl.errors import ArtifactError, ConfigError, GnnrlError, GnnrlWarning, RunInUse, is_out_of_memory
from gnnrl.runs.interruption import Interrupted, Interruption

if TYPE_CHECKING:
    from gnnrl.runs.directory import RunDirectory

PATIENT_STAGES = ("search", "finetune")
_SWEEP = "sweep"
"""What the settings of a limit's run call the run of its sweep."""


@dataclass(frozen=True, slots=True)
class Session:
    """A run that this process works on."""

    directory: "RunDirectory"
    interruption: Interruption

    def enter(self, stage: str) -> None:
        """Say what is being done: some work is worth finishing after Ctrl-C, other is left at once."""
        self.interruption.check()
        self.interruption.is_patient = stage in PATIENT_STAGES


def run_path(out: Path) -> Path:
    """Where the run of a result is kept while it lasts."""
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
    """Hold the run of a result, and say how to go on when it is interrupted or fails.

    Args:
        out: the result.
        settings: command and options, written down where the run is new.
        force: begin anew where there is a run already.
        arguments: what `gnnrl resume` has to be told again.
        repair: see `RunDirectory`.

    Raises:
        ConfigError: there is a run of this result already.
    """
    command = shlex.join(["gnnrl", "resume", str(out), *arguments])
    interruption = Interruption(narrator.warn)
    with telling_warnings(narrator), interruption.handled():
        directory = _hold(out, settings, command, force=force, repair=repair)
        try:
            with directory:
                yield Session(directory, interruption)
        except (Exception, Interrupted) as error:
            is_told = isinstance(error, GnnrlError | Interrupted) or is_out_of_memory(error)
            if is_told and not isinstance(error, RunInUse) and directory.path.exists():
                error.add_note(f"Go on with: {command}")
            raise


@contextmanager
def running_part(
    whole: Session, out: Path, settings: Mapping[str, Any], *, force: bool, repair: bool
) -> Iterator[Session]:
    """Hold the run of one limit of a sweep: new, or begun before by the same run of the sweep.

    Args:
        whole: the run of the sweep, which says how to go on.

    Raises:
        ConfigError: there is another run of this result already.
    """
    command = shlex.join(["gnnrl", "resume", str(out)])
    named = {**settings, _SWEEP: whole.directory.settings["id"]}
    with _hold(out, named, command, force=force, repair=repair) as directory:
        yield Session(directory, whole.interruption)


def is_part(whole: Session, out: Path) -> bool:
    """Whether a saved result is of this run of a sweep."""
    from gnnrl.storage.layout import RECORDS

    return _names(out / RECORDS, _SWEEP, whole.directory.settings["id"])


def tidy_part(whole: Session, out: Path) -> None:
    """Remove what the run of a finished limit left, where it was killed after its very last step."""
    from gnnrl.runs.directory import RunDirectory

    if _names(run_path(out), _SWEEP, whole.directory.settings["id"]):
        RunDirectory(run_path(out)).remove()


def _names(path: Path, key: str, value: str) -> bool:
    """Whether there is a run in a directory, and its settings say this."""
    from gnnrl.runs.directory import read_settings
    from gnnrl.storage.layout import SETTINGS

    return (path / SETTINGS).exists() and read_settings(path).get(key) == value


def refuse_part(found: "Found") -> None:
    """Refuse to go on with one limit of a sweep that lasts.

    Raises:
        ConfigError: it is one.
    """
    sweep = found.out.absolute().parent
    if _SWEEP in found.settings and _names(run_path(sweep), "id", found.settings[_SWEEP]):
        command = shlex.join(["gnnrl", "resume", str(found.out.parent)])
        raise ConfigError(f"{found.out} is one limit of a sweep that has not ended; go on with: {command}")


def _hold(out: Path, settings: Mapping[str, Any], command: str, *, force: bool, repair: bool) -> "RunDirectory":
    from gnnrl.runs.directory import RunDirectory

    path = run_path(out)
    directory = RunDirectory(path, settings, repair=repair)
    own = [name for name in ("id", _SWEEP) if name in settings]
    if directory.is_new or any(settings[name] == directory.settings.get(name) for name in own):
        return directory
    if not force:
        directory.close()
        raise ConfigError(f"{path} holds an interrupted run: go on with `{command}`, or begin anew with --force")
    directory.remove()
    return RunDirectory(path, settings)


@contextmanager
def telling_warnings(narrator: Narrator) -> Iterator[None]:
    """Let the narrator tell what gnnrl warns of."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def tell(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, GnnrlWarning):
                narrator.warn(str(message))
            else:
                show(message, category, *place, **more)

        warnings.simplefilter("always", GnnrlWarning)
        warnings.showwarning = tell
        yield


@dataclass(frozen=True, slots=True)
class Found:
    """The settings of a run that was begun.

    Attributes:
        out: where its result goes, or is.
        is_finished: whether it is.
    """

    out: Path
    settings: dict[str, Any]
    is_finished: bool

    @property
    def options(self) -> dict[str, Any]:
        """The options of its command."""
        options = self.settings.get("options")
        if not isinstance(options, dict) or not isinstance(self.settings.get("command"), str):
            raise ArtifactError(f"{run_path(self.out)} was not begun by the command line; go on in Python")
        return options


def find_run(result: Path) -> Found:
    """The run of a result, or of a run directory that is named itself.

    Raises:
        ConfigError: there is none.
        ArtifactError: its settings are damaged.
    """
    from gnnrl.runs.directory import read_settings
    from gnnrl.storage.layout import MANIFEST, RECORDS, SETTINGS

    named = result if result.name else result.absolute()
    out = named.with_name(named.name.removesuffix(".run"))
    path, done = run_path(out), out / RECORDS
    finished = read_settings(done) if (done / SETTINGS).exists() and (out / MANIFEST).exists() else None
    begun = read_settings(path) if (path / SETTINGS).exists() else None
    if begun is not None and (finished is None or finished["id"] != begun["id"]):
        return Found(out, begun, is_finished=False)
    if finished is not None:
        return Found(out, finished, is_finished=True)
    raise ConfigError(f"there is no run of {out}: neither {path} nor {done}; begin one with `gnnrl prune --out {out}`")


def tidy(found: Found) -> None:
    """Remove what the run of a finished result left, where it was killed after its very last step."""
    from gnnrl.runs.directory import RunDirectory

    if run_path(found.out).exists():
        RunDirectory(run_path(found.out)).remove()


def can_extend(found: Found) -> bool:
    """Whether a search of the command line made a result: no closed form, no training, nothing begun in Python."""
    from gnnrl.searchers.table import CLOSED_FORM

    try:
        options = found.options
    except ArtifactError:
        return False
    return type(options.get("episodes")) is int and options.get("searcher") not in CLOSED_FORM


def extend(found: Found, more: int) -> Found:
    """Begin a run that goes on from a finished one, with more evaluations."""
    from gnnrl.storage.files import publish_folder, staged
    from gnnrl.storage.layout import JOURNAL, RECORDS, SETTINGS

    options = found.options
    if not can_extend(found):
        raise ConfigError(f"{found.out} is no result of a search; only a search can be extended")
    options = {**options, "episodes": options["episodes"] + more, "force": True}
    kept = {name: value for name, value in found.settings.items() if name != _SWEEP}
    settings = {**kept, "id": secrets.token_hex(8), "options": options}
    path = run_path(found.out)
    with staged(path) as staging:
        shutil.copyfile(found.out / RECORDS / JOURNAL, staging / JOURNAL)
        (staging / SETTINGS).write_text(json.dumps(settings, indent=1))
        publish_folder(staging, path)
    return Found(found.out, settings, is_finished=False)
