"""Files that are there whole or not at all, and the record of what was written."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gnnrl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Export:
    """What was exported, and how near it is to the network in PyTorch.

    Attributes:
        path: the file; `files` are all of them, with the weights that lie beside it.
        size: bytes of all files.
        dynamic_batch: whether the file takes batches of any size; `static_reason` says why not.
        batch_sizes: batches on which the outputs were compared; empty if they were not.
        absolute: largest difference to the outputs in PyTorch; None if they were not compared.
        relative: the same, divided by the largest number of that output.
        opset: version of the ONNX operators; None for other formats.
    """

    path: Path
    files: tuple[Path, ...]
    size: int
    dynamic_batch: bool = True
    static_reason: str = ""
    batch_sizes: tuple[int, ...] = ()
    absolute: float | None = None
    relative: float | None = None
    opset: int | None = None


def check_file(path: str | Path, *, force: bool = False) -> Path:
    """Refuse a file that is there or cannot be written, before any work is done.

    Raises:
        ConfigError: the path is a directory, cannot be written, or is there and not to be replaced.
    """
    target = Path(path)
    if target.is_dir():
        raise ConfigError(f"{target} is a directory; choose a file for the export")
    if target.exists() and not force:
        raise ConfigError(f"{target} is there already; choose another file, or force to replace it")
    home = next(parent for parent in target.absolute().parents if parent.exists())
    if not home.is_dir() or not os.access(home, os.W_OK):
        raise ConfigError(f"{target} cannot be written: {home} is no directory that you may write to")
    return target


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A folder to write the files of an export into, under their own names; at the end `publish` puts them in place.

    Nothing is left of it after an error.

    Raises:
        ConfigError: the folder cannot be made.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}; choose another file") from error
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def publish(staging: Path, target: Path) -> tuple[tuple[Path, ...], int]:
    """Put the written files in place, the target last; return their paths, the target first, and their bytes."""
    names = sorted((path.name for path in staging.iterdir()), key=lambda name: (name == target.name, name))
    for name in names:
        descriptor = os.open(staging / name, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        (staging / name).chmod(0o644)
    for name in names:
        os.replace(staging / name, target.parent / name)
    files = tuple(target.parent / name for name in reversed(names))
    return files, sum(path.stat().st_size for path in files)
