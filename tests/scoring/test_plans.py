import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.errors import ConfigError, EvaluationError
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.scoring.plans import Scorer, score_network
from tests.topologies import images, traced

CASE = traced("residual")
ORDERS = [np.arange(12)] * 3


def scorer(evaluate=lambda model: float(model[0][0].weight.shape[0]), repair: str = "none", **more) -> Scorer:
    return Scorer(CASE.model, CASE.network, evaluate, ORDERS, repair=repair, **more)


def test_a_plan_is_really_pruned_and_score_network() -> None:
    found = scorer()((4, 5, 6))

    assert found.score == 4.0
    assert found.macs == CASE.network.cost.measure(np.array([4, 5, 6])).macs
    assert found.seconds > 0


def test_the_last_units_of_the_removal_order_are_kept() -> None:
    assert scorer().plan([2, 12, 1]).kept == ((10, 11), tuple(range(12)), (11,))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(EvaluationError, match="must return a finite number"):
        scorer(lambda model: value)((3, 3, 3))


@pytest.mark.parametrize("value", [None, "good", [1, 2]])
def test_scores_that_are_no_numbers_are_refused(value: object) -> None:
    with pytest.raises(EvaluationError):
        score_network(lambda model: value, nn.Identity())  # type: ignore[arg-type, return-value]


def test_tensors_and_integers_are_numbers() -> None:
    assert score_network(lambda model: torch.tensor(0.5), nn.Identity()) == 0.5  # type: ignore[arg-type, return-value]
    assert score_network(lambda model: 1, nn.Identity()) == 1.0


def test_an_error_of_the_users_function_is_shown_with_its_cause() -> None:
    def fails(model: nn.Module) -> float:
        raise KeyError("labels")

    with pytest.raises(EvaluationError, match="KeyError: 'labels'") as error:
        score_network(fails, nn.Identity())
    assert isinstance(error.value.__cause__, KeyError)


def test_repairs_need_calibration_and_a_name_that_is_known() -> None:
    with pytest.raises(ConfigError, match="needs calibration data"):
        scorer(repair="ls")
    with pytest.raises(ConfigError, match="unknown repair 'magic'"):
        scorer(repair="magic")


def test_candidates_are_repaired_and_the_time_is_booked() -> None:
    x = images(batch=64)
    record = calibrate(CASE.model, [x])
    scores = {}
    for repair in ("none", "bn", "ls"):

        def near(model: nn.Module) -> float:
            with torch.no_grad():
                return -float((model(x) - CASE.model(x)).square().mean())

        found = scorer(near, repair, calibration=record)((8, 4, 4))
        scores[repair] = found.score
        assert (found.spent.algebra > 0) == (repair == "ls")
        assert found.spent.forward > 0
        assert found.spent.surgery > 0

    assert scores["ls"] > scores["none"]


def test_the_same_plan_gives_the_same_score_again() -> None:
    record = calibrate(CASE.model, [images(batch=64)])
    x = images(batch=8)
    found = [
        scorer(lambda model: float(model(x).sum().detach()), "ls", calibration=record)((5, 5, 5)).score
        for _ in range(2)
    ]

    assert found[0] == found[1]
