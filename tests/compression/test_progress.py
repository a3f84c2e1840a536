"""Progress from Python: on a terminal alone, and it ends with the call."""

import io
import sys
from typing import Any

import pytest

import gnnrl
from gnnrl.compression.observer import Observer
from gnnrl.compression.progress import Bars, progressing
from tests.report.results import batches
from tests.topologies import images, topology


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def searched(**settings: Any) -> None:
    data = {"evaluate": batches(), "calibration": batches(), "searcher": "random", "episodes": 4}
    gnnrl.compress(topology("residual").model, images(), "macs<=50%", **{**data, **settings})


def watch(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in place of stderr; not in a fixture, after which pytest captures again."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    return shown


def test_a_terminal_shows_the_plans_and_nothing_if_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    searched(progress=False)
    assert not terminal.getvalue()
    searched()
    assert "4 of 4 plans" in terminal.getvalue()
    assert terminal.getvalue().count("\x1b[?25h") == terminal.getvalue().count("\x1b[?25l") > 0


def test_an_error_ends_the_line_and_shows_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    with pytest.raises(gnnrl.GnnrlError):
        searched(evaluate=lambda model: float("nan"))
    assert terminal.getvalue().count("\x1b[?25h") == terminal.getvalue().count("\x1b[?25l") > 0


def test_without_a_terminal_nothing_is_shown() -> None:
    assert not isinstance(progressing(Observer(), None), Bars)
