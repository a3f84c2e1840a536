"""The compression of a network: study, search, result, sweeps and comparisons."""

from importlib import import_module
from typing import Any

_HOMES = {"CompressionResult": "gnnrl.compression.result", "compress": "gnnrl.compression.pipeline"}
"""Names that this package had when it was a module."""


def __getattr__(name: str) -> Any:
    """Import such a name when it is used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gnnrl.compression' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
