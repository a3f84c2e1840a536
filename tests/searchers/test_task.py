"""Budget, limit and errors of a search, whatever searches."""

import numpy as np
import pytest

from gnnrl.errors import ConfigError, EvaluationError, GnnrlError
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from gnnrl.scoring.plans import Scorer, Trial
from gnnrl.searchers.table import SEARCHERS
from gnnrl.searchers.task import BudgetSpent, Task, search
from tests.searchers.problem import batches, task
from tests.topologies import traced

SMALL = traced("residual")


def test_plans_judged_before_cost_nothing() -> None:
    work = task(2)
    widths = work.projection.of_logits([0, 0, 0, 0])
    seen = []
    work.on_trial = seen.append

    for _ in range(5):
        work.score(widths)

    assert len(work.trials) == len(seen) == 1
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
    assert not work.trials


def test_a_users_own_searcher_that_fails_is_named_with_its_line() -> None:
    def stumble(work: Task) -> None:
        work.score(work.prior(work.projection))
        raise KeyError("conv9")

    with pytest.raises(ConfigError, match=r"searcher stumble failed at .*test_task\.py:\d+: KeyError: 'conv9'"):
        search(stumble, task())


def test_a_searcher_that_judges_nothing_is_an_error() -> None:
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
    assert [trial.widths for trial in work.trials] == [tuple(plan) for plan in (second, first, third)]
    assert batches(work) == [2, 1]


def test_what_was_asked_for_counts_and_is_known_before_it_is_judged() -> None:
    work = task(2)
    plan = work.prior(work.projection)
    assert not work.is_known(plan)
    work.ask(plan)

    assert work.used == 1
    assert not work.trials
    assert work.is_known(plan)
    assert work.score(plan) == work.trials[0].score


def scoring(evaluate=lambda model: float(model[0][0].weight.shape[0])) -> Task:
    """A task whose plans are really pruned and scored."""
    scorer = Scorer(SMALL.model, SMALL.network, evaluate, [np.arange(12)] * 3, repair="none")
    return Task(Projection.build(SMALL.network, "macs<=60%"), scorer, [], [], evaluations=9, seed=0)


def test_a_reward_is_computed_once_whatever_the_widths_are_given_as() -> None:
    calls: list[object] = []
    work = scoring(lambda model: calls.append(model) or 0.5)

    assert [work.reward(widths) for widths in ([3, 3, 3], np.array([3, 3, 3]), (3, 3, 3))] == [0.5] * 3
    assert len(calls) == len(work.trials) == 1
    assert work.is_scored([3, 3, 3])
    assert not work.is_scored([3, 3, 4])


def test_the_best_trial_is_the_first_of_the_highest_score() -> None:
    work = scoring(lambda model: float(model[0][0].weight.shape[0] > 3))
    with pytest.raises(EvaluationError, match="no plan was scored"):
        _ = work.best
    for widths in ([3, 1, 1], [5, 1, 1], [6, 1, 1]):
        work.reward(widths)

    assert work.best.widths == (5, 1, 1)


def test_previous_names_still_work_with_a_warning() -> None:
    work = scoring()
    work.ask(np.full(3, 3))
    with pytest.warns(DeprecationWarning, match=r"Task\.answer is called Task\.tell now"):
        work.answer()
    with pytest.warns(DeprecationWarning, match=r"called Task\.trials now"):
        assert work.evaluator.trials == work.trials != []
    with pytest.warns(DeprecationWarning, match="called gnnrl.searchers.task.search now"):
        from gnnrl.searchers.task import run
    assert run is search


class Elsewhere:
    """An executor that notes what it was asked for."""

    def __init__(self, scorer: Scorer) -> None:
        self.asked: list[tuple[int, ...]] = []
        self.start(scorer)

    def start(self, scorer: Scorer) -> None:
        self.scorer = scorer

    def map(self, plans):
        self.asked += plans
        return map(self.scorer, plans)

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
    memory = Remembered(Trial(0, (3, 3, 3), 9.0, 1, 0.0), Trial(1, (4, 4, 4), 8.0, 1, 0.0))
    work = scoring()
    work.memory, work.executor = memory, (executor := Elsewhere(work.scorer))

    work.score_all([np.full(3, width) for width in (3, 4, 3, 5, 5, 6)])

    assert [trial.number for trial in work.trials] == [0, 1, 2, 3]
    assert [trial.score for trial in work.trials] == [9.0, 8.0, 5.0, 6.0]
    assert executor.asked == [(5, 5, 5), (6, 6, 6)]
    assert memory.written == [(2, (5, 5, 5)), (3, (6, 6, 6))]


def test_a_plan_that_cannot_be_judged_ends_a_batch_with_what_was_before_it_written_down() -> None:
    work = scoring(lambda model: {4: float("nan")}.get(model[0][0].weight.shape[0], 0.5))
    memory = work.memory = Remembered()

    with pytest.raises(EvaluationError, match="finite"):
        work.score_all([np.full(3, width) for width in (3, 4, 5)])
    assert [trial.widths for trial in work.trials] == [(3, 3, 3)]
    assert memory.written == [(0, (3, 3, 3)), (1, (4, 4, 4), "failed")]
