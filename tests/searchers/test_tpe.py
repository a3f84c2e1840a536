import pytest

from gnnrl.searchers.task import run
from gnnrl.searchers.tpe import TPESearcher
from tests.searchers.problem import batches, task

optuna = pytest.importorskip("optuna")


def test_plans_around_the_closed_form_are_judged_together_and_then_each_alone() -> None:
    work = task(12)
    run(TPESearcher(startup=5), work)

    assert work.trials[0].widths == tuple(work.prior(work.projection))
    first, *others = batches(work)
    assert 1 < first <= 5
    assert {*others} == {1}


def test_optuna_is_as_talkative_afterwards_as_before() -> None:
    before = optuna.logging.get_verbosity()
    run(TPESearcher(startup=2), task(3))

    assert optuna.logging.get_verbosity() == before
