"""Results of a benchmark of many hours: one JSON file that several processes fill, and that any of them continues.

A row is written as soon as it is measured. A row that is being measured is locked, so that processes started with the
same command share the work; the lock ends with its process. A row that could not be measured leaves its reason, and is
tried again by the next process.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

Row = dict[str, Any]
_TOLERANCE = 5e-4
"""What another order of sums does to a reward: a twentieth of a point of accuracy, half a thousandth of a nat."""


class Ledger:
    """Rows by their keys.

    Args:
        path: the file; it need not exist.
        settings: what must be equal for rows to be compared; measured numbers may differ by rounding.
        facts: what is worth knowing beside that, such as the machine; those of the first process are kept.

    Raises:
        SystemExit: the file holds rows under other settings; the message names them.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self.path = path
        self._locks = path.parent / ".locks"
        self._locks.mkdir(parents=True, exist_ok=True)
        fresh = {"facts": dict(facts), "settings": dict(settings), "planned": [], "rows": {}, "failed": {}}
        with self._writing():
            if not path.exists():
                self._write(json.loads(json.dumps(fresh)))
        before = self.document["settings"]
        differing = [name for name, value in settings.items() if not _equal(before.get(name), value)]
        if differing:
            raise SystemExit(
                f"{path} holds rows under other settings ({', '.join(differing)}): give another --name, or delete it."
            )

    @property
    def document(self) -> dict[str, Any]:
        """The file as it is now."""
        return read(self.path)

    @property
    def rows(self) -> dict[str, Row]:
        """All rows that are there now."""
        rows: dict[str, Row] = self.document["rows"]
        return rows

    @property
    def missing(self) -> list[str]:
        """Keys that were planned by any process and have no row."""
        return missing(self.document)

    def plan(self, keys: Iterable[str]) -> None:
        """Remember which rows are wanted."""
        with self._writing():
            document = self.document
            document["planned"] = list(dict.fromkeys([*document["planned"], *keys]))
            self._write(document)

    def claim(self, keys: Iterable[str]) -> Iterator[str]:
        """Yield, one after the other, the keys that have no row and that no other process works on."""
        for key in keys:
            with suppress(Timeout), FileLock(self._lock(key), timeout=0):
                if key not in self.rows:
                    yield key

    def keep(self, key: str, row: Row) -> None:
        """Write a row."""
        with self._writing():
            document = self.document
            document["rows"][key] = row
            document["failed"].pop(key, None)
            self._write(document)

    def fail(self, key: str, reason: str) -> None:
        """Write why there is no row."""
        with self._writing():
            document = self.document
            document["failed"][key] = reason
            self._write(document)

    def forget(self, names: Iterable[str]) -> None:
        """Delete the rows whose "arm" is one of these, for instance since its code has changed."""
        dropped = set(names)
        with self._writing():
            document = self.document
            document["rows"] = {key: row for key, row in document["rows"].items() if row["arm"] not in dropped}
            self._write(document)

    def _lock(self, key: str) -> Path:
        return self._locks / f"{self.path.stem}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.lock"

    def _writing(self) -> FileLock:
        return FileLock(self._locks / f"{self.path.stem}.lock")

    def _write(self, document: Mapping[str, Any]) -> None:
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(document, separators=(",", ":")).replace('},"', '},\n"') + "\n")
        partial.replace(self.path)


def read(path: Path) -> dict[str, Any]:
    """What a ledger wrote."""
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def missing(document: Mapping[str, Any]) -> list[str]:
    """Keys that were planned and have no row."""
    return [key for key in document["planned"] if key not in document["rows"]]


def unmeasured(document: Mapping[str, Any]) -> str:
    """What is missing, in words, and why where that is known."""
    failed = document["failed"]
    lines = [f"- {key}" + (f" (not run: {failed[key]})" if key in failed else "") for key in missing(document)]
    return "\n".join(["Missing:", *lines]) if lines else "Nothing is missing."


def _equal(before: Any, now: Any) -> bool:
    if isinstance(before, float) and isinstance(now, float):
        return abs(before - now) <= _TOLERANCE * max(1.0, abs(before), abs(now))
    return bool(before == json.loads(json.dumps(now)))
