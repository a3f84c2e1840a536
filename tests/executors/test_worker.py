"""What runs in a worker, called here: the judge is loaded once, and errors come back as they can."""

import pickle
from pathlib import Path

import pytest

from gnnrl.errors import EvaluationError
from gnnrl.executors import worker
from gnnrl.executors.worker import Failure, WorkerTraceback
from tests.executors.plans import FAILS, Moody, judge


class Unsendable(Exception):
    """An error that cannot be unpickled: its arguments are not those of its constructor."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"{left} {right}")


def refuse(model: object) -> float:
    raise Unsendable("no", "score")


@pytest.fixture(autouse=True)
def _no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_SCORERS", [])


def test_a_plan_is_judged_by_the_judge_that_was_loaded(tmp_path: Path) -> None:
    assert worker.load(pickle.dumps(judge(Moody(tmp_path)))) is None

    found = worker.judge((3, 5, 3))
    assert not isinstance(found, Failure)
    assert found.score == 5.0


def test_a_judge_that_cannot_be_read_here_is_a_reason() -> None:
    assert str(worker.load(b"nonsense")).startswith("UnpicklingError")


def test_an_error_comes_back_with_its_traceback(tmp_path: Path) -> None:
    worker.load(pickle.dumps(judge(Moody(tmp_path))))
    failure = worker.judge((FAILS, 1, 1))
    assert isinstance(failure, Failure)
    raised = pickle.loads(pickle.dumps(failure)).raised()

    assert isinstance(raised, EvaluationError)
    assert isinstance(raised.__cause__, WorkerTraceback)
    assert "KeyError: 'mood'" in str(raised.__cause__)
    assert "plans.py" in str(raised.__cause__)


def test_an_error_that_cannot_be_sent_becomes_one_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(plan: tuple[int, ...]) -> float:
        raise Unsendable("no", "score")

    monkeypatch.setattr(worker, "_SCORERS", [fails])
    failure = worker.judge((3, 5, 3))
    assert isinstance(failure, Failure)

    assert type(failure.error) is EvaluationError
    assert "[3, 5, 3]" in str(failure.error)
    assert "Unsendable: no score" in str(failure.error)
