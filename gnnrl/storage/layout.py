"""Names of the files of a saved result, and checks of its directory. This module does not need PyTorch."""

from collections.abc import Iterable
from pathlib import Path

from gnnrl.errors import ConfigError
from gnnrl.storage.files import check_home

WEIGHTS, PLAN, MANIFEST, RECORDS = "weights.safetensors", "plan.json", "manifest.json", "run"
HISTORY, REPORT, CARD = "history.json", "report.html", "README.md"
SWEEP, FIGURE = "sweep.json", "sweep.svg"
LIVE = ".live.html"
"""The page of a running search, next to its result: small.live.html."""
SETTINGS, JOURNAL = "settings.json", "journal.jsonl"
"""Files of a run directory, copied into a saved result."""
CONTENTS = frozenset(
    {WEIGHTS, PLAN, MANIFEST, HISTORY, REPORT, CARD, RECORDS, f"{RECORDS}/{SETTINGS}", f"{RECORDS}/{JOURNAL}"}
)
"""All files that gnnrl writes into a saved result, and removes when it replaces the result."""


def check_target(target: str | Path, *, force: bool = False) -> None:
    """Raise ConfigError for an output that cannot be written, lies within a result or a run, or holds something.

    `force` only replaces saved results that hold no other files.
    """
    path = Path(target)
    check_place(path)
    if path.is_file():
        raise ConfigError(f"{path} is a file; choose a directory for the result")
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not force:
        raise ConfigError(f"{path} is not empty; choose another directory, or replace it with --force (force=True)")
    if not _is_result(path):
        raise ConfigError(f"{path} is not empty and not a saved result; it is not replaced, choose another")
    inside = {entry.relative_to(path).as_posix() for folder in (path, path / RECORDS) for entry in _entries(folder)}
    if foreign := sorted(inside - CONTENTS):
        raise ConfigError(
            f"{path} holds {foreign[0]}, which does not belong to a saved result, so the directory is not replaced: "
            f"move {foreign[0]} elsewhere, or choose another directory"
        )


def check_place(target: str | Path) -> None:
    """Raise ConfigError for a place that cannot be written, or within a result or a run."""
    path = Path(target)
    check_home(path)
    for is_taken, what in ((_is_result, "a saved result"), (_is_run, "a run")):
        for parent in filter(is_taken, path.resolve().parents):
            raise ConfigError(f"{path} lies within {parent}, which is {what}; choose a directory outside it")


def _is_result(path: Path) -> bool:
    return all((path / name).is_file() for name in (WEIGHTS, PLAN, MANIFEST))


def _is_run(path: Path) -> bool:
    return all((path / name).is_file() for name in (SETTINGS, JOURNAL))


def _entries(folder: Path) -> Iterable[Path]:
    return folder.iterdir() if folder.is_dir() else ()


def check_sweep(target: str | Path, results: Iterable[Path], *, force: bool = False) -> None:
    """Raise ConfigError for a directory that holds a file that no sweep wrote, or, without `force`, an older sweep."""
    path = Path(target)
    check_place(path)
    if path.is_file():
        raise ConfigError(f"{path} is a file; choose a directory for the results")
    entries = path.iterdir() if path.is_dir() and any(path.iterdir()) else ()
    for entry in sorted(entries):
        if not _is_of_a_sweep(entry):
            raise ConfigError(f"{path} holds {entry.name}, which no sweep wrote; choose another directory")
    if (path / SWEEP).is_file() and not force:
        raise ConfigError(f"{path} holds a sweep; choose another directory, or write its record again with --force")
    for result in results:
        check_target(result, force=force)


def _is_of_a_sweep(entry: Path) -> bool:
    """Return whether a sweep, possibly a killed one, may have written this."""
    if entry.is_dir():
        return (entry / MANIFEST).is_file() or entry.name.endswith(".run") or entry.name.startswith(".")
    report = entry.name == REPORT and (entry.parent / SWEEP).is_file()
    return report or entry.name in (SWEEP, FIGURE) or entry.name.endswith(LIVE) or entry.name.startswith(".")
