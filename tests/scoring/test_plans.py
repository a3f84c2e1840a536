import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.errors import ConfigError, EvaluationError, GnnrlError
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.scoring.plans import Evaluator, Judge, Trial, judged
from tests.topologies import images, traced

CASE = traced("residual")
ORDERS = [np.arange(12)] * 3


def evaluator(evaluate=lambda model: float(model[0][0].weight.shape[0]), repair: str = "none", **more) -> Evaluator:
    return Evaluator(Judge(CASE.model, CASE.network, evaluate, ORDERS, repair=repair, **more))


def test_a_plan_is_really_pruned_and_judged() -> None:
    found = evaluator()

    assert found.score([4, 5, 6]) == 4.0
    (trial,) = found.trials
    assert trial.widths == (4, 5, 6)
    assert trial.number == 0
    assert trial.macs == CASE.network.cost.measure(np.array([4, 5, 6])).macs
    assert trial.seconds > 0


def test_equal_plans_are_judged_once() -> None:
    calls = []
    found = evaluator(lambda model: calls.append(model) or 0.5)

    assert [found.score(widths) for widths in ([3, 3, 3], np.array([3, 3, 3]), (3, 3, 3))] == [0.5] * 3
    assert len(calls) == len(found.trials) == 1
    assert found.known([3, 3, 3]) == 0.5
    assert found.known([3, 3, 4]) is None


def test_the_last_units_of_the_removal_order_are_kept() -> None:
    assert evaluator().plan([2, 12, 1]).kept == ((10, 11), tuple(range(12)), (11,))


def test_the_best_trial_is_the_first_of_the_highest_score() -> None:
    found = evaluator(lambda model: float(model[0][0].weight.shape[0] > 3))
    for widths in ([3, 1, 1], [5, 1, 1], [6, 1, 1]):
        found.score(widths)

    assert found.best.widths == (5, 1, 1)
    with pytest.raises(EvaluationError, match="no plan was scored"):
        _ = evaluator().best


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite_are_refused(value: float) -> None:
    found = evaluator(lambda model: value)

    with pytest.raises(EvaluationError, match="must return a finite number"):
        found.score([3, 3, 3])
    assert not found.trials


@pytest.mark.parametrize("value", [None, "good", [1, 2]])
def test_scores_that_are_no_numbers_are_refused(value: object) -> None:
    with pytest.raises(EvaluationError):
        judged(lambda model: value, nn.Identity())  # type: ignore[arg-type, return-value]


def test_tensors_and_integers_are_numbers() -> None:
    assert judged(lambda model: torch.tensor(0.5), nn.Identity()) == 0.5  # type: ignore[arg-type, return-value]
    assert judged(lambda model: 1, nn.Identity()) == 1.0


def test_an_error_of_the_users_function_is_shown_with_its_cause() -> None:
    def fails(model: nn.Module) -> float:
        raise KeyError("labels")

    with pytest.raises(EvaluationError, match="KeyError: 'labels'") as error:
        judged(fails, nn.Identity())
    assert isinstance(error.value.__cause__, KeyError)


def test_repairs_need_calibration_and_a_name_that_is_known() -> None:
    with pytest.raises(ConfigError, match="needs calibration data"):
        evaluator(repair="ls")
    with pytest.raises(ConfigError, match="unknown repair 'magic'"):
        evaluator(repair="magic")


def test_candidates_are_repaired_and_the_time_is_booked() -> None:
    x = images(batch=64)
    record = calibrate(CASE.model, [x])
    scores = {}
    for repair in ("none", "bn", "ls"):

        def near(model: nn.Module) -> float:
            with torch.no_grad():
                return -float((model(x) - CASE.model(x)).square().mean())

        found = evaluator(near, repair, calibration=record)
        scores[repair] = found.score([8, 4, 4])
        assert (found.seconds.algebra > 0) == (repair == "ls")
        assert found.seconds.forward > 0
        assert found.seconds.surgery > 0

    assert scores["ls"] > scores["none"]


def test_the_same_plan_gives_the_same_score_again() -> None:
    record = calibrate(CASE.model, [images(batch=64)])
    x = images(batch=8)
    found = [
        evaluator(lambda model: float(model(x).sum().detach()), "ls", calibration=record).score([5, 5, 5])
        for _ in range(2)
    ]

    assert found[0] == found[1]


class Elsewhere:
    """An executor that notes what it was asked for."""

    def __init__(self, judge: Judge) -> None:
        self.asked: list[tuple[int, ...]] = []
        self.start(judge)

    def start(self, judge: Judge) -> None:
        self.judge = judge

    def map(self, plans):
        self.asked += plans
        return map(self.judge, plans)

    def close(self) -> None:
        """Nothing runs."""


class Remembered:
    """A memory with the first trials of an earlier process."""

    def __init__(self, *trials: Trial) -> None:
        self.trials = trials
        self.written: list[object] = []

    def recall(self, number: int, widths: tuple[int, ...]) -> Trial | None:
        return self.trials[number] if number < len(self.trials) else None

    def record(self, trial: Trial) -> None:
        self.written.append((trial.number, trial.widths))

    def fail(self, number: int, widths: tuple[int, ...], error: GnnrlError) -> None:
        self.written.append((number, widths, "failed"))


def test_only_plans_that_no_one_knows_go_to_the_executor() -> None:
    found = evaluator()
    memory = Remembered(Trial(0, (3, 3, 3), 9.0, 1, 0.0), Trial(1, (4, 4, 4), 8.0, 1, 0.0))
    executor = Elsewhere(found.judge)
    found = Evaluator(found.judge, memory=memory, executor=executor)

    trials = list(found.score_all([(3, 3, 3), (4, 4, 4), (3, 3, 3), (5, 5, 5), (5, 5, 5), (6, 6, 6)]))

    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert [trial.score for trial in trials] == [9.0, 8.0, 5.0, 6.0]
    assert executor.asked == [(5, 5, 5), (6, 6, 6)]
    assert memory.written == [(2, (5, 5, 5)), (3, (6, 6, 6))]


def test_a_plan_that_cannot_be_judged_ends_a_batch_with_what_was_before_it_written_down() -> None:
    found = evaluator(lambda model: {4: float("nan")}.get(model[0][0].weight.shape[0], 0.5))
    memory = found.memory = Remembered()

    with pytest.raises(EvaluationError, match="finite"):
        list(found.score_all([(3, 3, 3), (4, 4, 4), (5, 5, 5)]))
    assert [trial.widths for trial in found.trials] == [(3, 3, 3)]
    assert memory.written == [(0, (3, 3, 3)), (1, (4, 4, 4), "failed")]
