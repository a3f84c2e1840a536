"""Progress from Python: on a terminal alone, and it ends with the call."""

import io
import sys
from functools import partial
from typing import Any

import pytest

import gnnrl
from gnnrl.compression.observer import Observer
from gnnrl.compression.progress import is_watched
from gnnrl.training import finetune
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


def test_without_a_terminal_nothing_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert not is_watched()
    searched()
    assert not capfd.readouterr().err


def study(**settings: Any) -> gnnrl.Study:
    data = {"evaluate": batches(), "calibration": batches(), "importance": "l2", "repair": "none"}
    return gnnrl.Study(topology("residual").model, images(), **{**data, **settings})


def test_a_study_shows_its_progress_if_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watch(monkeypatch)
    study(progress=False).compress("macs<=50%", searcher="random", episodes=4)
    study(observer=Observer()).compress("macs<=50%", searcher="random", episodes=4)
    assert not terminal.getvalue()
    study(observer=Observer(), progress=True).compress("macs<=50%", searcher="random", episodes=4)
    assert "4 of 4 plans" in terminal.getvalue()


def test_the_epochs_of_a_fine_tuning_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, told = watch(monkeypatch), list[tuple[int, int]]()

    class Noting(Observer):
        def begin(self, stage: str) -> None:
            told.clear()

        def advance(self, done: int, total: int) -> None:
            told.append((done, total))

        def end(self) -> None:
            if len(told) == 3:
                ended.append(list(told))

    ended: list[list[tuple[int, int]]] = []
    train = partial(finetune, train_data=batches(), epochs=2)
    found = study(observer=Noting(), progress=True)
    found.compress("macs<=50%", searcher="uniform", finetune=train, keep="finetuned")

    assert ended == [[(0, 2), (1, 2), (2, 2)]]
    assert "2 of 2 epochs" in terminal.getvalue()
