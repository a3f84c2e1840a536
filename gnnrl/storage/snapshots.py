"""Numbered snapshots of tensors and facts, written whole or not at all, without pickle; the last two are kept.

    000007.safetensors    the tensors
    000007.json           the facts, and the digests of both; written last

The digests are checked when a snapshot is read. A damaged one is ignored in favour of the one before it.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gnnrl.errors import RunWarning
from gnnrl.storage.files import digest, publish_files, remove_remains, staged

KEPT = 2
LARGEST_FACTS = 2**26
_NAME = re.compile(r"(\d{6,9})\.json")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved state.

    Attributes:
        number: the newest snapshot has the highest number.
        facts: JSON values.
    """

    number: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class Snapshots:
    """The snapshots of one training.

    Args:
        folder: their folder; it is created for the first snapshot.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def save(self, number: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write a snapshot, then remove all but the last two; older ones are intact if the disk is full."""
        target = self.folder / f"{number:06}.json"
        remove_remains(target)
        with staged(target) as staging:
            weights = staging / f"{number:06}.safetensors"
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, weights)
            text = json.dumps(dict(facts), sort_keys=True)
            document = {"facts": facts, "facts_sha256": _hash(text), "tensors_sha256": digest(weights)}
            (staging / target.name).write_text(json.dumps(document))
            publish_files(staging, target)
        for old in self._numbers()[KEPT:]:
            for suffix in ("json", "safetensors"):
                (self.folder / f"{old:06}.{suffix}").unlink(missing_ok=True)

    def latest(self) -> Snapshot | None:
        """Return the newest sound snapshot, None if there is none; warn of each damaged one that is newer."""
        for number in self._numbers():
            try:
                return self._read(number)
            except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
                warnings.warn(
                    f"{self.folder}: snapshot {number} is damaged ({error}); training resumes from the one before it",
                    RunWarning,
                    stacklevel=2,
                )
        return None

    def _read(self, number: int) -> Snapshot:
        path, weights = (self.folder / f"{number:06}.{suffix}" for suffix in ("json", "safetensors"))
        if path.is_symlink() or weights.is_symlink():
            raise ValueError("it is a link")
        if path.stat().st_size > LARGEST_FACTS:
            raise ValueError("its facts are too large")
        document = json.loads(path.read_bytes())
        facts = document["facts"]
        if document["facts_sha256"] != _hash(json.dumps(facts, sort_keys=True)):
            raise ValueError("SHA-256 of its facts differs")
        if document["tensors_sha256"] != digest(weights):
            raise ValueError("SHA-256 of its tensors differs")
        return Snapshot(number, {name: tensor.clone() for name, tensor in load_file(weights).items()}, facts)

    def _numbers(self) -> list[int]:
        """Return the numbers of the snapshots, the newest first."""
        names = (_NAME.fullmatch(path.name) for path in self.folder.glob("*.json"))
        return sorted((int(found[1]) for found in names if found), reverse=True)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
