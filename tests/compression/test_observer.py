"""Observers: stages are timed, and everything is passed on."""

import pytest

from gnnrl.compression import observer
from gnnrl.compression.observer import Callbacks, Clock, Observer
from gnnrl.scoring.plans import Trial

TRIAL = Trial(0, (3,), 0.5, 10, 0.1)


@pytest.fixture
def _seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a second later each time it is read."""
    monkeypatch.setattr(observer, "perf_counter", iter(range(100)).__next__)


@pytest.mark.usefixtures("_seconds")
def test_a_stage_lasts_until_the_next_one_or_the_end() -> None:
    clock = Clock(Observer())
    clock.begin("trace")
    clock.begin("search")
    with clock.timed("verify"):
        pass
    clock.end()

    assert clock.seconds == {"trace": 1, "search": 1, "verify": 1}


def test_everything_is_passed_on() -> None:
    told: list[object] = []
    clock = Clock(Callbacks(told.append, told.append, lambda *step: told.append(step)))
    clock.begin("curves")
    clock.advance(1, 5)
    clock.begin("finetune")
    clock.advance(1, 3)
    clock.judged(TRIAL)

    assert told == ["curves", (1, 5), "finetune", TRIAL], "on_advance counts channels, no epochs"


def test_functions_that_are_not_given_are_not_called() -> None:
    told: list[Trial] = []
    quiet = Callbacks(on_trial=told.append)
    quiet.begin("curves")
    quiet.advance(1, 5)
    quiet.judged(TRIAL)

    assert told == [TRIAL]
