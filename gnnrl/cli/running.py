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
    return out.with_name(f"{out.name}.run")


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
    interruption = Interruption(lambda text: narrator.warn(f"{text}. Go on with: {command}"))
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


def _hold(out: Path, settings: Mapping[str, Any], command: str, *, force: bool, repair: bool) -> "RunDirectory":
    from gnnrl.runs.directory import RunDirectory

    path = run_path(out)
    directory = RunDirectory(path, settings, repair=repair)
    if directory.is_new or settings.get("id") == directory.settings["id"]:
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
    from gnnrl.runs.directory import SETTINGS, read_settings
    from gnnrl.target import MANIFEST, RECORDS

    out = result.with_name(result.name.removesuffix(".run"))
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


def extend(found: Found, more: int) -> Found:
    """Begin a run that goes on from a finished one, with more evaluations."""
    from gnnrl.files import publish_folder, staged
    from gnnrl.runs.directory import JOURNAL, SETTINGS
    from gnnrl.searchers.table import CLOSED_FORM
    from gnnrl.target import RECORDS

    searcher, episodes = found.options.get("searcher"), found.options.get("episodes")
    if type(episodes) is not int or searcher in CLOSED_FORM:
        raise ConfigError(f"{found.out} is no result of a search; only a search can be extended")
    options = {**found.options, "episodes": episodes + more, "force": True}
    settings = {**found.settings, "id": secrets.token_hex(8), "options": options}
    path = run_path(found.out)
    with staged(path) as staging:
        shutil.copyfile(found.out / RECORDS / JOURNAL, staging / JOURNAL)
        (staging / SETTINGS).write_text(json.dumps(settings, indent=1))
        publish_folder(staging, path)
    return Found(found.out, settings, is_finished=False)
