"""Storages of tensors in temporary files, for passes that continue later."""

import shutil
import tempfile
from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gnnrl.pruning.calibration.columns import bytes_of

LARGEST = 16e9
"""Bytes of kept storages, or half of the free space, if that is less."""

Key = tuple[int, int]


class Kept:
    """Keeps storages of many parts on disk, each under a key.

    Attributes:
        limit: bytes that may be kept.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="gnnrl-")
        self.limit = min(LARGEST, shutil.disk_usage(self._folder.name).free / 2)
        self._files: dict[tuple[Key, int], Path] = {}

    def put(self, key: Key, part: int, storage: Any) -> None:
        """Keep a storage, unless it is kept already."""
        if (key, part) in self._files:
            return
        path = Path(self._folder.name) / f"{key[0]}-{key[1]}-{part}"
        content = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
        path.write_bytes(bytes_of(content))
        self._files[key, part] = path

    def get(self, key: Key, part: int, device: torch.device) -> Any:
        """Return a copy of a storage."""
        content = torch.from_numpy(np.fromfile(self._files[key, part], np.uint8))
        return content.to(device).untyped_storage()

    def drop_all_but(self, keys: Container[Key]) -> None:
        """Delete what is kept under other keys."""
        for key, part in [place for place in self._files if place[0] not in keys]:
            self._files.pop((key, part)).unlink()

    def close(self) -> None:
        """Delete everything."""
        self._folder.cleanup()
