"""Calibration in parts, although all images would fit into memory together."""

import pytest

from gnnrl.pruning.calibration import dense


def in_parts(monkeypatch: pytest.MonkeyPatch, together: int = 24) -> None:
    """Let at most this many images go through a network together."""
    whole = dense._parts
    monkeypatch.setattr(dense, "_parts", lambda images, fitted, _: whole(images, fitted, together))
