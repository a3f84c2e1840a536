"""Evaluations that hang or fail in one's own process."""

from threading import Event

import pytest
from torch import nn

from gnnrl.errors import ConfigError, EvaluationError, GnnrlWarning
from gnnrl.executors import serial
from gnnrl.executors.serial import SerialExecutor
from tests.executors.plans import judge

PLANS = [(3, 5, 3), (4, 5, 3), (5, 5, 3), (6, 5, 3)]


def width(model: nn.Module) -> float:
    return float(model[0][0].weight.shape[0])


@pytest.mark.parametrize(
    ("first", "least", "hangs", "said"), [(0.0, 60.0, 3, "?"), (60.0, 0.0, 6, "those before took")]
)
def test_an_evaluation_that_hangs_is_told_of_with_what_would_end_it(
    first: float, least: float, hangs: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial, "FIRST", first)
    monkeypatch.setattr(serial, "LEAST", least)
    told: list[str] = []
    was_told = Event()

    def tell(message: str) -> None:
        told.append(message)
        was_told.set()

    def hanging(model: nn.Module) -> float:
        if width(model) == hangs:
            assert was_told.wait(30)
        return width(model)

    with SerialExecutor(late=1.1, tell=tell) as executor:
        executor.start(judge(hanging))
        assert [found.score for found in executor.map(PLANS)] == [3.0, 4.0, 5.0, 6.0]
    late = next(message for message in told if f"widths [{hangs}, 5, 3]" in message)
    assert said in late
    assert "ProcessExecutor(timeout=seconds)" in late


def test_an_evaluation_in_time_is_not_told_of() -> None:
    told: list[str] = []
    with SerialExecutor(tell=told.append) as executor:
        executor.start(judge(width))
        list(executor.map(PLANS))
    assert not told


def test_late_evaluations_are_warnings_by_default() -> None:
    with pytest.warns(GnnrlWarning, match="hangs"):
        serial._warn("it hangs")


@pytest.mark.parametrize("wrong", [float("nan"), KeyError("mood")])
def test_a_failing_evaluation_is_tried_again_as_often_as_was_asked(wrong: float | Exception) -> None:
    calls: list[float] = []

    def flaky(model: nn.Module) -> float:
        calls.append(width(model))
        if calls.count(width(model)) < 3:
            if isinstance(wrong, Exception):
                raise wrong
            return wrong
        return width(model)

    executor = SerialExecutor(retries=2)
    executor.start(judge(flaky))
    assert [found.score for found in executor.map(PLANS[:2])] == [3.0, 4.0]
    assert calls == [3.0] * 3 + [4.0] * 3
    calls.clear()
    executor = SerialExecutor(retries=1)
    executor.start(judge(flaky))
    with pytest.raises(EvaluationError) as error:
        list(executor.map(PLANS))
    assert error.value.__notes__ == ["It was tried 2 times."]
    assert calls == [3.0, 3.0]


def test_an_interruption_is_no_failure_to_try_again() -> None:
    calls: list[float] = []

    def interrupted(model: nn.Module) -> float:
        calls.append(width(model))
        raise KeyboardInterrupt

    executor = SerialExecutor(retries=5)
    executor.start(judge(interrupted))
    with pytest.raises(KeyboardInterrupt):
        list(executor.map(PLANS))
    assert calls == [3.0]


@pytest.mark.parametrize("settings", [{"retries": -1}, {"late": 1.0}])
def test_numbers_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="at least 0, late more than 1"):
        SerialExecutor(**settings)
