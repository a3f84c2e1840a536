"""Where a saved result goes: what its files are called, and which directories are refused. Needs no PyTorch."""

from pathlib import Path

from gnnrl.errors import ConfigError
from gnnrl.files import check_home

WEIGHTS, PLAN, MANIFEST, RECORDS = "weights.safetensors", "plan.json", "manifest.json", "run"
HISTORY, REPORT, CARD = "history.json", "report.html", "README.md"


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
