"""One contract for all executors."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from gnnrl.errors import ConfigError, EvaluationError
from gnnrl.executors.process import ProcessExecutor
from gnnrl.executors.serial import SerialExecutor
from gnnrl.executors.table import find_executor
from gnnrl.scoring.plans import Executor
from tests.executors.plans import DIES, DIES_ONCE, FAILS, NAN, SLOW_ONCE, Moody, judge, locked, scores

RAY = pytest.param(
    "ray",
    marks=[
        pytest.mark.skipif(find_spec("ray") is None, reason="needs ray"),
        pytest.mark.filterwarnings("ignore"),  # ray's own, at its start and at its end
    ],
)


PARALLEL = ["process", RAY]


EVERY = ["serial", *PARALLEL]


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("marks")


@pytest.fixture(scope="module")
def moody(marks: Path) -> Moody:
    return Moody(marks)


@pytest.fixture(scope="module", params=EVERY)
def executor(request: pytest.FixtureRequest, moody: Moody) -> Iterator[Executor]:
    """Two workers that all tests share, since they take seconds to begin."""
    for mark in moody.folder.iterdir():
        mark.unlink()
    found = find_executor(request.param, workers=None if request.param == "serial" else 2)
    found.start(judge(moody))
    yield found
    found.close()


def skip_serial(executor: Executor) -> None:
    if isinstance(executor, SerialExecutor):
        pytest.skip("there is no other process")


def test_answers_are_those_of_one_by_one(executor: Executor, moody: Moody) -> None:
    plans = [(3, 5, 3), (2, 4, 6), (4, 1, 12), (1, 12, 2), (5, 5, 5)]
    expected = list(map(judge(moody), plans))

    found = list(executor.map(plans))

    assert [(one.score, one.macs) for one in found] == [(one.score, one.macs) for one in expected]
    assert all(one.seconds > 0 and one.spent.surgery > 0 for one in found)
    assert list(executor.map([])) == []


def test_an_error_of_the_evaluation_says_what_and_where(executor: Executor) -> None:
    found = executor.map([(3, 6, 3), (FAILS, 1, 1), (3, 7, 3)])

    assert next(found).score == 6.0
    with pytest.raises(EvaluationError, match="failed on a pruned network: KeyError: 'mood'") as raised:
        next(found)
    cause = raised.value.__cause__
    assert isinstance(cause, KeyError) or ("plans.py" in str(cause) and "raise KeyError" in str(cause))
    assert scores(executor, (3, 8)) == [8.0]


def test_a_score_that_is_no_number_is_refused(executor: Executor) -> None:
    with pytest.raises(EvaluationError, match="must return a finite number"):
        scores(executor, (NAN, 1))


def test_a_lost_worker_costs_only_its_evaluation(executor: Executor, moody: Moody) -> None:
    skip_serial(executor)

    assert scores(executor, (4, 5), (DIES_ONCE, 2), (5, 7), (6, 8)) == [5.0, 2.0, 7.0, 8.0]
    assert moody.calls(DIES_ONCE) == 2
    assert moody.calls(6) == 1


def test_a_plan_that_ends_every_worker_is_named(executor: Executor, moody: Moody) -> None:
    skip_serial(executor)

    with pytest.raises(EvaluationError, match=r"widths \[10, 1, 3\] could not be judged: 3 workers were lost"):
        scores(executor, (DIES, 1))
    assert moody.calls(DIES) == 3


def test_what_takes_much_longer_than_others_is_given_to_another(executor: Executor, moody: Moody) -> None:
    skip_serial(executor)

    assert scores(executor, (2, 1), (2, 2), (2, 3), (SLOW_ONCE, 2)) == [1.0, 2.0, 3.0, 2.0]
    assert moody.calls(SLOW_ONCE) == 2


@pytest.mark.parametrize("kind", PARALLEL)
def test_what_cannot_be_sent_is_refused_by_name(kind: str) -> None:
    with (
        find_executor(kind, workers=1) as executor,  # type: ignore[attr-defined]
        pytest.raises(ConfigError, match=r"evaluation function Locked cannot be sent.*top level of a module"),
    ):
        executor.start(locked())


@pytest.mark.parametrize("kind", ["serial", "process"])
def test_an_executor_that_was_not_started_judges_nothing(kind: str) -> None:
    with pytest.raises(ConfigError, match="has to be started"):
        find_executor(kind).map([(3, 3, 3)])


def test_unknown_executors_and_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="there is no executor 'proces'; did you mean process"):
        find_executor("proces")
    with pytest.raises(ConfigError, match="at least 1"):
        ProcessExecutor(-1)
    with pytest.raises(ConfigError, match="serial"):
        find_executor("serial", workers=4)
