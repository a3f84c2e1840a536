"""Where a saved result goes: what its files are called, and which directories are refused. Needs no PyTorch."""

from collections.abc import Iterable
from pathlib import Path

from gnnrl.errors import ConfigError
from gnnrl.files import check_home

WEIGHTS, PLAN, MANIFEST, RECORDS = "weights.safetensors", "plan.json", "manifest.json", "run"
HISTORY, REPORT, CARD = "history.json", "report.html", "README.md"
SWEEP, FIGURE = "sweep.json", "sweep.svg"


def check_target(target: str | Path, *, force: bool = False) -> None:
    """Refuse an output directory that holds something, before any work is done.

    Raises:
        ConfigError: it is a file, cannot be written, or is there and not empty; `force` replaces saved results only.
    """
    path = Path(target)
    check_home(path)
    if path.is_file():
        raise ConfigError(f"{path} is a file; choose a directory for the result")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise ConfigError(f"{path} is not empty; choose another directory, or replace it with --force (force=True)")
    if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST).is_file():
        raise ConfigError(f"{path} is not empty and not a saved result; it is not replaced, choose another")


def check_sweep(target: str | Path, results: Iterable[Path], *, force: bool = False) -> None:
    """Refuse a directory for several results, and all places of them in it, before any work is done.

    Raises:
        ConfigError: it holds something that no sweep wrote, or a result of before that `force` does not replace.
    """
    path = Path(target)
    check_home(path)
    if path.is_file():
        raise ConfigError(f"{path} is a file; choose a directory for the results")
    entries = path.iterdir() if path.is_dir() and any(path.iterdir()) else ()
    for entry in sorted(entries):
        if not _is_of_a_sweep(entry):
            raise ConfigError(f"{path} holds {entry.name}, which is no part of a sweep; choose another directory")
    for result in results:
        check_target(result, force=force)


def _is_of_a_sweep(entry: Path) -> bool:
    """Whether a sweep may have written it, also one that was killed."""
    if entry.is_dir():
        return (entry / MANIFEST).is_file() or entry.name.endswith(".run") or entry.name.startswith(".")
    report = entry.name == REPORT and (entry.parent / SWEEP).is_file()
    return report or entry.name in (SWEEP, FIGURE) or entry.name.startswith(".")
