"""The whole way: what is known of a network, the search, the result, sweeps and comparisons."""

from importlib import import_module
from typing import Any

_HOMES = {"CompressionResult": "gnnrl.compression.result", "compress": "gnnrl.compression.pipeline"}
"""Names that were here when this was a module."""


def __getattr__(name: str) -> Any:
    """Import such a name when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gnnrl.compression' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
