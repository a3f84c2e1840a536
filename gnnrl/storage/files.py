"""Files that exist whole or not at all: each is written under another name, forced to the disk, then renamed.

A killed process leaves the old file or the new one, and at most a hidden folder `.NAME.partial-*` next to it.
"""

import ctypes
import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from gnnrl.errors import ConfigError, ResourceError

_EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM})
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_PARTIAL = ".partial-"
_ABANDONED = 3600.0
_LONGEST = 60
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def check_file(path: str | Path, *, force: bool = False) -> Path:
    """Raise ConfigError for a file that cannot be written, or exists and `force` is not given."""
    target = Path(path)
    check_home(target)
    if target.is_dir():
        raise ConfigError(f"{target} is a directory; choose a file for the export")
    if target.exists() and not force:
        raise ConfigError(f"{target} already exists; choose another file, or replace it with --force (force=True)")
    return target


def check_home(target: Path) -> None:
    """Raise ConfigError if a name is not valid, or its directory cannot be written."""
    try:
        target.exists()
        home = next(parent for parent in target.absolute().parents if parent.exists())
    except OSError as error:
        raise ConfigError(f"cannot write {_short(target)}: {error.strerror}; choose another name") from error
    if not home.is_dir() or not os.access(home, os.W_OK):
        raise ConfigError(f"cannot write {target}: no write permission for {home}")


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Replace the error of a full, read-only or broken disk by a ResourceError; let other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _EXHAUSTED:
            raise
        raise _exhausted(target, error) from error
    except SafetensorError as error:
        found = _OS_ERROR.search(str(error))
        if found is None or int(found[1]) not in _EXHAUSTED:
            raise
        raise _exhausted(target, OSError(int(found[1]), os.strerror(int(found[1])))) from error


def _exhausted(target: Path, error: OSError) -> ResourceError:
    what = error.strerror or str(error)
    return ResourceError(
        f"cannot write {target}: {what}. Older files there are intact; free space on that disk, or make it writable, "
        "and try again"
    )


def write_whole(path: Path, content: bytes) -> None:
    """Replace the content of a file; a reader, also after a crash, sees either the old content or the new one."""
    with writing(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}{_PARTIAL}", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        flush(path.parent)


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Make a hidden folder next to a target, for files that `publish_files` or `publish_folder` moves to the target.

    It is removed at the end. The error is a ConfigError, or a ResourceError if the disk is full or read-only.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_remains(target, _ABANDONED)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}{_PARTIAL}", dir=target.parent))
    except OSError as error:
        if error.errno in _EXHAUSTED - {errno.EACCES, errno.EPERM}:
            raise _exhausted(target, error) from error
        raise ConfigError(f"cannot write {target}: {error.strerror}; choose another place") from error
    try:
        with writing(target):
            yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def publish_files(staging: Path, target: Path) -> tuple[tuple[Path, ...], int]:
    """Move the written files into place, the target last; return their paths, the target first, and total bytes."""
    names = sorted((path.name for path in staging.iterdir()), key=lambda name: (name == target.name, name))
    for name in names:
        flush(staging / name)
        (staging / name).chmod(0o644)
    for name in names:
        os.replace(staging / name, target.parent / name)
    flush(target.parent)
    files = tuple(target.parent / name for name in reversed(names))
    return files, sum(path.stat().st_size for path in files)


def publish_folder(staging: Path, target: Path) -> None:
    """Put the folder, with all files in it, in place of the target."""
    for path in (*staging.rglob("*"), staging):
        path.chmod(0o755 if path.is_dir() else 0o644)
        flush(path)
    if target.exists() and _exchange(staging, target):
        shutil.rmtree(staging, ignore_errors=True)
    elif target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}{_PARTIAL}", dir=target.parent))
        target.rename(old / "old")
        staging.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        staging.rename(target)
    flush(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders at once, so that neither name is ever missing; return False if the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(rename(_HERE, os.fsencode(one.absolute()), _HERE, os.fsencode(other.absolute()), _EXCHANGE) == 0)


def remove_remains(target: Path, age: float = 0.0) -> None:
    """Remove files that killed processes left next to a target; newer files than `age` seconds may be in use."""
    for path in target.parent.glob(f".{_escaped(target.name)}{_PARTIAL}*"):
        if time.time() - path.lstat().st_mtime < age:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def flush(path: Path) -> None:
    """Force a file, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
