"""How commands end when they are asked to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gnnrl.runs.interruption import Interrupted, Interruption, deferred

NUMBERS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_in_hand_is_finished_first(name: str) -> None:
    told: list[str] = []
    interruption = Interruption(told.append)
    before = signal.getsignal(signal.SIGINT)
    with interruption.handled():
        interruption.is_patient = True
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(0)
        with pytest.raises(Interrupted) as caught:
            interruption.check()
    assert caught.value.exit_code == NUMBERS[name]
    assert told
    assert signal.getsignal(signal.SIGINT) is before
    interruption.is_patient = False


@pytest.mark.parametrize("name", NUMBERS)
def test_a_signal_waits_for_what_is_deferred(name: str) -> None:
    number = getattr(signal, name)
    with Interruption().handled():
        whole = deferred()
        whole.__enter__()
        with deferred():
            signal.raise_signal(number)
        with pytest.raises(Interrupted):
            whole.__exit__(None, None, None)


def test_a_second_signal_ends_at_once() -> None:
    interruption = Interruption()
    with interruption.handled():
        interruption.is_patient = True
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGINT)


def test_where_nothing_is_in_hand_the_first_ends_at_once() -> None:
    with Interruption().handled(), pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)


def test_what_never_comes_to_an_end_is_ended_after_all() -> None:
    code = """
import time
from gnnrl.runs import interruption
interruption.PATIENCE, interruption.LONGEST = 0.1, 0.3
found = interruption.Interruption()
with found.handled():
    found.is_patient = True
    print("ready", flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(30) == 143
