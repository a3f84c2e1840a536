"""Budget, limit and errors of a search, whatever searches."""

import numpy as np
import pytest

from gnnrl.errors import ConfigError
from gnnrl.pruning.rules import WidthRules
from gnnrl.searchers.table import SEARCHERS
from gnnrl.searchers.task import BudgetSpent, Task, search
from tests.searchers.problem import batches, task


def test_plans_judged_before_cost_nothing() -> None:
    work = task(2)
    widths = work.projection.of_logits([0, 0, 0, 0])
    seen = []
    work.on_trial = seen.append

    for _ in range(5):
        work.score(widths)

    assert len(work.evaluator.trials) == len(seen) == 1
    work.score(work.projection.of_logits([3, 0, 0, 0]))
    with pytest.raises(BudgetSpent):
        work.score(work.projection.of_logits([-3, 0, 0, 0]))
    assert work.score(widths) == seen[0].score


@pytest.mark.parametrize(
    ("widths", "told"),
    [
        (lambda work: work.network.widths, "beyond macs<="),
        (lambda work: np.ones(len(work.network.groups)), "may have 8 to"),
        (lambda work: [8], "one width for each of the"),
        (lambda work: None, "one width for each of the"),
        (lambda work: np.full(len(work.network.groups), np.nan), "got nan"),
    ],
)
def test_a_users_own_searcher_cannot_leave_rules_and_limit(widths, told: str) -> None:
    work = task(rules=WidthRules(min_width=8))
    with pytest.raises(ConfigError, match=told):
        search(lambda work: work.score(widths(work)), work)
    assert not work.evaluator.trials


def test_a_users_own_searcher_that_fails_is_named_with_its_line() -> None:
    def stumble(work: Task) -> None:
        work.score(work.prior(work.projection))
        raise KeyError("conv9")

    with pytest.raises(ConfigError, match=r"searcher stumble failed at .*test_task\.py:\d+: KeyError: 'conv9'"):
        search(stumble, task())


def test_a_searcher_that_judges_nothing_is_an_error() -> None:
    from gnnrl.errors import EvaluationError

    with pytest.raises(EvaluationError, match="no plan was scored"):
        search(lambda work: None, task())


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one evaluation"):
        search(SEARCHERS["uniform"], task(0))


def test_signals_are_finite_and_of_one_length() -> None:
    signals = task().signals()

    assert signals.shape == (4, 14)
    assert signals.dtype == np.float32
    assert np.isfinite(signals).all()
    assert np.abs(signals).max() < 20


def test_a_batch_costs_what_its_plans_cost_one_by_one() -> None:
    work, seen = task(3), []
    work.on_trial = seen.append
    plans = [work.projection.of_logits([logit, 0, 0, 0]) for logit in (-3, 0, 3)]
    first, second, third = plans

    scores = work.score_all([second, first, second])

    assert scores[0] == scores[2] == work.score(second)
    assert scores[1] == work.score(first)
    assert [trial.widths for trial in seen] == [tuple(second), tuple(first)]
    with pytest.raises(BudgetSpent):
        work.score_all([first, third, work.prior(work.projection), third])
    assert [trial.widths for trial in work.evaluator.trials] == [tuple(plan) for plan in (second, first, third)]
    assert batches(work) == [2, 1]


def test_what_was_asked_for_counts_and_is_known_before_it_is_judged() -> None:
    work = task(2)
    plan = work.prior(work.projection)
    assert not work.is_known(plan)
    work.ask(plan)

    assert work.used == 1
    assert not work.evaluator.trials
    assert work.is_known(plan)
    assert work.known(plan) == work.evaluator.trials[0].score
