"""An append-only file of entries, each forced to the disk before the next: one JSON object a line.

    {"seq":0,"kind":"trial","score":0.91,"crc":"1c291ca3"}

`seq` counts the lines, `crc` is the CRC32 of the line without it. An incomplete last line, as a power cut leaves it, is
removed; a damaged line before it is refused.
"""

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from gnnrl.errors import ArtifactError, RunWarning
from gnnrl.storage.files import flush, write_whole, writing

LARGEST_FILE, LONGEST_LINE = 2**30, 2**22
_LINE = re.compile(rb'(\{"seq":(\d{1,9}),.*),"crc":"([0-9a-f]{8})"\}\n', re.DOTALL)

Record = dict[str, Any]
Parsed = TypeVar("Parsed")


class Journal:
    """A journal, opened to read its entries and to append new ones.

    Args:
        path: the file; it is created if it does not exist.
        repair: cut the file before the first damaged line, and keep the damaged file as `NAME.damaged`.

    Attributes:
        records: all entries, without `seq` and `crc`.

    Raises:
        ArtifactError: a line before the last one is damaged, or the file is too large to be a journal.
        ResourceError: it cannot be written.
    """

    def __init__(self, path: Path, *, repair: bool = False) -> None:
        self.path = path
        self.records: list[Record] = []
        end = self._read(repair) if path.exists() else 0
        with writing(path):
            is_new = not path.exists()
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.ftruncate(self._descriptor, end)
            if is_new:
                flush(path.parent)

    def append(self, kind: str, **values: Any) -> None:
        """Add an entry and force it to the disk; the journal is unchanged if the disk is full."""
        record = {"kind": kind, **values}
        line = encode(len(self.records), record)
        end = os.fstat(self._descriptor).st_size
        try:
            with writing(self.path):
                while line:
                    line = line[os.write(self._descriptor, line) :]
                os.fsync(self._descriptor)
        except BaseException:
            os.ftruncate(self._descriptor, end)
            raise
        self.records.append(record)

    def parsed(self, kind: str, parse: Callable[[Record], Parsed]) -> Iterator[tuple[int, Parsed]]:
        """Yield line and content of each entry of a kind; raise ArtifactError if one cannot be parsed."""
        for line, record in enumerate(self.records, 1):
            if record["kind"] == kind:
                try:
                    yield line, parse(record)
                except (KeyError, TypeError, ValueError) as error:
                    raise ArtifactError(
                        f"{self.path}: line {line} is not a valid entry of kind {kind!r}: {error}"
                    ) from error

    def close(self) -> None:
        """Close the file; nothing is lost if this is not called."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _read(self, repair: bool) -> int:
        """Read all entries; return the number of sound bytes."""
        if self.path.is_symlink() or not self.path.is_file():
            raise ArtifactError(f"{self.path} is not a file; put the journal of the run there, or remove it")
        size = self.path.stat().st_size
        if size > LARGEST_FILE:
            raise ArtifactError(f"{self.path} has {size:,} bytes; no journal is larger than {LARGEST_FILE:,}")
        found = [*sound_entries(self.path)]
        self.records = [record for record, _ in found]
        end = found[-1][1] if found else 0
        if end < size:
            self._cut(end, size, repair)
        return end

    def _cut(self, end: int, size: int, repair: bool) -> None:
        """Warn of a damaged line that is the last one, or that `repair` cuts off with all lines after it."""
        with self.path.open("rb") as file:
            file.seek(end)
            behind = size - end - len(file.readline(LONGEST_LINE))
        number = len(self.records) + 1
        if behind and not repair:
            raise ArtifactError(
                f"{self.path}: line {number} is damaged, and {behind:,} bytes follow it. Restore the file, or resume "
                f"from the {number - 1} lines before it with `gnnrl resume --repair`"
            )
        if behind:
            write_whole(self.path.with_name(f"{self.path.name}.damaged"), self.path.read_bytes())
        what = (
            "is damaged; its work and what follows is done" if behind else "was torn and is cut off; its work is done"
        )
        warnings.warn(f"{self.path}: line {number} {what} again from there", RunWarning, stacklevel=5)


def encode(number: int, record: Record) -> bytes:
    """Return an entry as a line of a journal; floats keep every bit."""
    body = json.dumps({"seq": number, **record}, separators=(",", ":"), allow_nan=False)
    return f'{body[:-1]},"crc":"{crc32(body.encode()):08x}"}}\n'.encode()


def decode(line: bytes, number: int) -> Record | None:
    """Return the entry of a line, or None if the line is incomplete or has another number."""
    found = _LINE.fullmatch(line)
    if found is None or int(found[2]) != number or crc32(found[1] + b"}") != int(found[3], 16):
        return None
    try:
        record = json.loads(found[1] + b"}")
    except (ValueError, RecursionError):
        return None
    record.pop("seq", None)
    return record if isinstance(record.get("kind"), str) else None


def sound_entries(path: Path) -> Iterator[tuple[Record, int]]:
    """Yield each entry of a journal and where its line ends, up to the first line that is damaged or not complete."""
    with path.open("rb") as file:
        end = 0
        for number in count():
            line = file.readline(LONGEST_LINE)
            record, end = decode(line, number), end + len(line)
            if record is None:
                return
            yield record, end
