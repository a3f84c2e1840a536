"""Processes that measure when they are asked: what they answer, and how they end."""

import multiprocessing
import os
import signal
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest

from gnnrl.cli import bench_workers
from gnnrl.cli.bench_workers import Contestant, measure, peak_memory, ready
from gnnrl.cli.inputs import Source
from gnnrl.errors import ConfigError
from tests.cli.contestants import EAGER


@pytest.mark.parametrize("pruned", [False, True])
def test_a_process_measures_what_it_is_asked_and_its_memory(saved: Path, pruned: bool) -> None:
    told: list[str] = []
    others = multiprocessing.active_children()
    with ready(replace(EAGER, result=saved if pruned else None), 600, told.append) as ask:
        one, many, megabytes = ask(measure, 0), ask(measure, 1), ask(peak_memory)
        assert len(multiprocessing.active_children()) == len(others) + 1

    assert multiprocessing.active_children() == others
    assert [text for text in told if " s" not in text] == [
        "first pass with a batch of 1",
        "first pass with a batch of 4",
    ]
    assert all(seconds > 0 for seconds in (*one, *many))
    assert 0 <= megabytes < 10_000


def test_a_process_that_cannot_run_says_why() -> None:
    wrong = replace(EAGER, source=Source(model="torchvision:resnet19"))

    with pytest.raises(ConfigError, match="no network 'resnet19'"), ready(wrong, 600, lambda text: None):
        pytest.fail("it is not ready")


def test_a_process_that_hangs_or_dies_ends_with_the_block() -> None:
    others = multiprocessing.active_children()
    with pytest.raises(ConfigError, match=r"no response within 0 s\. Raise --give-up"), ready(EAGER, 0.3, print):
        pytest.fail("it is not ready")
    assert multiprocessing.active_children() == others

    with pytest.raises(ConfigError, match="died; is there enough memory"), ready(EAGER, 600, print) as ask:
        ask(_die)


def _die(contestant: Contestant) -> None:
    """End as a process does that the system kills for its memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_missing_compiler_is_named_by_the_type_of_the_error() -> None:
    from torch._inductor.exc import InductorError, InvalidCxxCompiler

    reason = bench_workers._reason(InductorError(InvalidCxxCompiler("g++"), None))

    assert reason == "no C++ compiler was found (Compiler: g++ is not found.)"


def test_what_a_silent_process_does_is_told_until_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_workers, "_PULSE_SECONDS", 0.01)
    told: list[str] = []

    with pytest.raises(ConfigError, match=r"no response within 0 s\. Raise --give-up"):
        bench_workers._answer(Future(), 0.05, told.append, "compiling")

    assert told[:2] == ["compiling, 0 s", "compiling, 0 s"]
    late: Future[int] = Future()
    Timer(0.05, late.set_result, (3,)).start()
    assert bench_workers._answer(late, 60) == 3
