import pytest

from gnnrl.searchers.task import search
from gnnrl.searchers.tpe import estimate
from tests.searchers.problem import batches, task

optuna = pytest.importorskip("optuna")


def test_plans_around_the_closed_form_are_judged_together_and_then_each_alone() -> None:
    work = task(17)
    search(estimate, work)

    assert work.trials[0].widths == tuple(work.prior(work.projection))
    first, *others = batches(work)
    assert 1 < first <= 10
    assert {*others} == {1}


def test_optuna_is_as_talkative_afterwards_as_before() -> None:
    before = optuna.logging.get_verbosity()
    search(estimate, task(3))

    assert optuna.logging.get_verbosity() == before
