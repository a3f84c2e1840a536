"""Sources of images: folders and archives, read as a stream of named files. Nothing is unpacked to disk.

Archives are untrusted: names that lead out of an archive, links, devices, encrypted and oversized members are refused.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

from gnnrl.errors import DataError

OnProgress = Callable[[int, int], None]
"""Is called from time to time with (done, total): bytes of a tar file, members of a zip file, files of a folder."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"})
TAR_SUFFIXES = (".tar", ".tar.xz", ".txz", ".tar.gz", ".tgz", ".tar.bz2")
ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip")
MAX_MEMBER_BYTES = 64 * 2**20
MAX_ARCHIVE_BYTES = 16 * 2**30
PROGRESS_EVERY = 500
DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {b"\xfd7zXZ\0": lzma.open, b"\x1f\x8b": gzip.open, b"BZh": bz2.open}


def read_images(path: Path, progress: OnProgress = lambda done, total: None) -> Iterator[tuple[str, bytes | Path]]:
    """Yield (name, content) of every image in a folder and its subfolders, or in a tar or zip archive.

    The name is the relative path with forward slashes. The content is a path for a folder, bytes for an archive.
    Hidden files and files without an image's suffix are skipped. The order is that of the source.

    Raises:
        DataError: the source is missing, damaged, of an unknown kind, or an unsafe archive.
    """
    if path.is_dir():
        yield from _read_folder(path, progress)
    elif not path.exists():
        raise DataError(f"{path}: no such file or folder.")
    elif path.name.lower().endswith(".zip"):
        yield from _read_archive(path, _read_zip, progress)
    elif path.name.lower().endswith(TAR_SUFFIXES):
        yield from _read_archive(path, _read_tar, progress)
    else:
        raise DataError(f"{path}: neither a folder nor an archive; archives end in {', '.join(ARCHIVE_SUFFIXES)}.")


def _read_folder(path: Path, progress: OnProgress) -> Iterator[tuple[str, Path]]:
    files, seen = [], set()
    for folder, subfolders, names in os.walk(path, followlinks=True):
        files += [Path(folder, name) for name in names if _is_image(name)]
        seen.add(os.path.realpath(folder))  # links may form a cycle
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".") and os.path.realpath(os.path.join(folder, name)) not in seen
        ]
    for done, file in enumerate(files, 1):
        yield file.relative_to(path).as_posix(), file
        progress(done, len(files))


def _read_archive(
    path: Path, read: Callable[[Path, OnProgress], Iterator[tuple[str, bytes]]], progress: OnProgress
) -> Iterator[tuple[str, bytes]]:
    """Read an archive with a limit on its images' bytes, and one kind of error for all formats."""
    total = 0
    try:
        for name, content in read(path, progress):
            total += len(content)
            if total > MAX_ARCHIVE_BYTES:
                raise DataError(
                    f"{path}: the archive has more than {MAX_ARCHIVE_BYTES:,} bytes of images; unpack it to a folder."
                )
            yield name.removeprefix("./"), content
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise DataError(f"{path}: the archive is damaged or cannot be read ({error}); download it again.") from error


def _read_tar(path: Path, progress: OnProgress) -> Iterator[tuple[str, bytes]]:
    size = path.stat().st_size
    with path.open("rb") as raw, _Tail(raw) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for number, member in enumerate(archive, 1):
            _check_name(path, member.name)
            if not (member.isfile() or member.isdir()):
                raise DataError(f"{path}: member {member.name!r} is a link or a device; only plain files are read.")
            if member.isfile() and _is_image(member.name):
                _check_size(path, member.name, member.size)
                content = archive.extractfile(member)
                assert content is not None, "a plain file has content"
                yield member.name, content.read()
            if number % PROGRESS_EVERY == 0:
                progress(raw.tell(), size)
        # tarfile takes a damaged or missing header for the end
        if stream.block(archive.offset) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"it ends after {archive.offset:,} bytes without an end mark")
    progress(size, size)


class _Tail(io.RawIOBase):
    """The decompressed bytes of a file, with the chunk that was read last."""

    def __init__(self, raw: BinaryIO) -> None:
        head = raw.read(6)
        raw.seek(0)
        opener = next((opener for magic, opener in DECOMPRESSORS.items() if head.startswith(magic)), None)
        self.source: BinaryIO = opener(raw) if opener else raw
        self.start, self.chunk = 0, b""

    def read(self, size: int = -1) -> bytes:
        """Read bytes as any file does."""
        chunk = self.source.read(size)
        if chunk:
            self.start, self.chunk = self.start + len(self.chunk), chunk
        return chunk

    def block(self, offset: int) -> bytes:
        """Return the block of a tar file at `offset` if it was read last."""
        return self.chunk[offset - self.start :][: tarfile.BLOCKSIZE]


def _read_zip(path: Path, progress: OnProgress) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for number, member in enumerate(members, 1):
            _check_name(path, member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DataError(f"{path}: member {member.filename!r} is a link or a device; only plain files are read.")
            if not member.is_dir() and _is_image(member.filename):
                _check_size(path, member.filename, member.file_size)
                yield member.filename, archive.read(member)
            if number % PROGRESS_EVERY == 0 or number == len(members):
                progress(number, len(members))


def _check_name(path: Path, name: str) -> None:
    parts = PureWindowsPath(name)  # parses both kinds of slashes, and drives
    if parts.anchor or ".." in parts.parts:
        raise DataError(f"{path}: member {name!r} leads out of the archive; its names must be relative, without '..'.")


def _check_size(path: Path, name: str, size: int) -> None:
    if size > MAX_MEMBER_BYTES:
        raise DataError(f"{path}: member {name!r} has {size:,} bytes; at most {MAX_MEMBER_BYTES:,} are read.")


def _is_image(name: str) -> bool:
    parts = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts.parts)
    return parts.suffix.lower() in IMAGE_SUFFIXES and not hidden
