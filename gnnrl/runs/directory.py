"""The directory of one run: its settings, its journal, its snapshots, and the process that works in it.

RUN/settings.json     command and options, versions, and a description of the network and data (`identity`)
RUN/journal.jsonl     every scored plan and every measured time, in order
RUN/snapshots/        states of the fine-tuning
RUN/lock              held by the process that works here; the kernel releases it, however the process ends
RUN/holder            number and machine of this process
"""

import json
import os
import platform
import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gnnrl.errors import ArtifactError, ConfigError, GnnrlError, RunInUse, RunWarning
from gnnrl.storage.files import check_home, remove_remains, write_whole, writing
from gnnrl.storage.formats import SEARCH, check_format, check_resumable, stamp
from gnnrl.storage.journal import Journal
from gnnrl.storage.layout import JOURNAL, SETTINGS
from gnnrl.storage.snapshots import Snapshots

FORMAT = 1
SNAPSHOTS = "snapshots"
TIMES = "times"
"""Kind of the journal's entries of measured times."""
_LOCK, _HOLDER = "lock", "holder"
_LARGEST = 2**24
_TOLERANCE = 1e-3


class RunDirectory:
    """A run directory that this process has locked; a context manager.

    Args:
        path: the directory; it is created, or opened if it exists.
        settings: command and options, which are written if the run is new.
        repair: see `Journal`.

    Attributes:
        settings: the written settings; `id` is a random name of the run.
        is_new: whether the run was created now.

    Raises:
        RunInUse: another process has locked it.
        ConfigError: it is not a run directory, or cannot be created.
        ArtifactError: settings or journal are damaged.
        ResourceError: the disk is full or read-only.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any] | None = None, *, repair: bool = False) -> None:
        self.path = Path(path)
        _check(self.path)
        try:
            with writing(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
                self._lock = FileLock(self.path / _LOCK)
                self._take()
        except OSError as error:
            raise ConfigError(f"cannot create {self.path}: {error.strerror or error}; choose another place") from error
        try:
            for name in (SETTINGS, _HOLDER):
                remove_remains(self.path / name)
            self.is_new = not (self.path / SETTINGS).exists()
            if self.is_new:
                own = {**stamp(FORMAT), "search": SEARCH, "id": secrets.token_hex(8)}
                self._write({**own, **(settings or {}), "versions": versions()})
            self.settings = read_settings(self.path)
            self.journal = Journal(self.path / JOURNAL, repair=repair)
        except BaseException:
            self._lock.release()
            raise

    def identify(self, identity: Mapping[str, Any]) -> None:
        """Record the network and data of the run, or raise ConfigError if they are not the recorded ones.

        Measured numbers may differ by a thousandth, as between machines.
        """
        check_resumable(self.path, self.settings)
        known: dict[str, Any] | None = self.settings.get("identity")
        now: dict[str, Any] = json.loads(json.dumps(dict(identity)))
        if known is None:
            self.settings = {**self.settings, "identity": now}
            self._write(self.settings)
            return
        if changed := self.differing_versions():
            told = f"{self.path} was started with other versions ({', '.join(changed)}): last digits may differ"
            warnings.warn(told, RunWarning, stacklevel=2)
        differing = [name for name in (*known, *(now.keys() - known)) if not _equal(known.get(name), now.get(name))]
        if differing:
            told = "; ".join(f"{name} was {_short(known.get(name))}, is {_short(now.get(name))}" for name in differing)
            raise ConfigError(
                f"{self.path} was started on something else: {told}. Give the same as then, or another directory"
            )

    def snapshots(self) -> Snapshots:
        """Return the snapshots of the run's fine-tuning."""
        return Snapshots(self.path / SNAPSHOTS)

    def differing_versions(self) -> list[str]:
        """Return the versions that have changed since the run was started."""
        before, now = self.settings["versions"], versions()
        return [f"{name} {before.get(name)} -> {now[name]}" for name in now if before.get(name) != now[name]]

    @property
    def records(self) -> tuple[Path, ...]:
        """The files that document how a result was found."""
        return self.path / SETTINGS, self.path / JOURNAL

    @property
    def is_empty(self) -> bool:
        """True if the directory holds no work that would be lost with it."""
        return all(record["kind"] == TIMES for record in self.journal.records) and not (self.path / SNAPSHOTS).exists()

    def remove(self) -> None:
        """Remove the directory and its contents."""
        self.journal.close()
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()

    def close(self) -> None:
        """Unlock the directory."""
        self.journal.close()
        self._lock.release()

    def __enter__(self) -> "RunDirectory":
        """Return the directory, which is locked."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Unlock it; remove it if an error left it empty, else add to the error where the work is kept."""
        if isinstance(error, Exception) and self.is_empty:
            self.remove()
            return
        if isinstance(error, GnnrlError):
            error.add_note(f"The work up to this error is kept in {self.path}.")
        self.close()

    def _take(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise RunInUse(
                f"{self.path} is in use by {_holder(self.path)}; wait for it, stop it, or choose another directory"
            ) from error
        write_whole(self.path / _HOLDER, f"process {os.getpid()} on {platform.node()}".encode())

    def _write(self, settings: Mapping[str, Any]) -> None:
        write_whole(self.path / SETTINGS, json.dumps(settings, indent=1).encode())


@contextmanager
def held(run: "str | Path | RunDirectory | None") -> "Iterator[RunDirectory | None]":
    """Lock the run directory of a path; yield one that is locked already, or None, unchanged."""
    if run is None or isinstance(run, RunDirectory):
        yield run
        return
    with RunDirectory(run) as directory:
        yield directory


def read_settings(path: Path) -> Mapping[str, Any]:
    """Return the settings of a run, without locking it; raise ArtifactError if they are damaged."""
    file = path / SETTINGS
    if file.is_symlink() or not file.is_file():
        raise ArtifactError(f"{file} is missing (or a link): there is no run in {path}")
    if file.stat().st_size > _LARGEST:
        raise ArtifactError(f"{file} is larger than {_LARGEST // 2**20} MiB, so it cannot be the settings of a run")
    try:
        settings = check_format(file, json.loads(file.read_bytes()), FORMAT)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file} is not JSON: {error}; start the run again elsewhere") from error
    wanted: dict[str, type] = {
        "id": str,
        "versions": dict,
        **{name: dict for name in ("identity", "options") if name in settings},
    }
    wrong = [name for name, kind in wanted.items() if not isinstance(settings.get(name), kind)]
    if wrong:
        raise ArtifactError(f"{file} has no valid {' and '.join(wrong)}; start the run again elsewhere")
    return settings


def versions() -> dict[str, str]:
    """Return the versions and settings of this machine that numbers may depend on."""
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def _check(path: Path) -> None:
    if path.is_file():
        raise ConfigError(f"{path} is a file; choose a directory for the run")
    if path.is_dir() and any(path.iterdir()) and not any((path / name).exists() for name in (SETTINGS, _LOCK)):
        raise ConfigError(f"{path} is neither empty nor a run directory; choose another")
    if not path.is_dir():
        check_home(path)


def _holder(path: Path) -> str:
    try:
        return (path / _HOLDER).read_text()[:200]
    except OSError:
        return "another process"


def _equal(known: Any, now: Any) -> bool:
    if isinstance(known, float) and isinstance(now, float):
        return abs(known - now) <= _TOLERANCE * max(abs(known), abs(now))
    if isinstance(known, list) and isinstance(now, list) and len(known) == len(now):
        return all(_equal(a, b) for a, b in zip(known, now, strict=True))
    return bool(known == now)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
