import numpy as np

from gnnrl.pruning.allocation import WISH_BOUND
from gnnrl.searchers.wishes import new_near, plan_of
from tests.searchers.problem import CASE, task

NOTHING = np.zeros(len(CASE.network.groups))


def test_a_wish_of_zeros_is_the_closed_form() -> None:
    work = task()

    assert plan_of(work, NOTHING).tolist() == work.prior(work.projection).tolist()


def test_around_known_plans_a_new_one_is_found_further_away() -> None:
    work, rng = task(evaluations=200), np.random.default_rng(0)
    work.ask(plan_of(work, NOTHING))
    near = new_near(work, NOTHING, 1e-3, rng)

    assert not work.is_known(plan_of(work, near))
    assert 1e-2 < np.abs(near).max() <= WISH_BOUND


def test_plans_scored_together_have_the_scores_of_one_by_one() -> None:
    wishes = np.random.default_rng(1).normal(0, 1, (5, len(NOTHING)))
    together, alone = task(), task()

    scores = together.score_all([plan_of(together, wish) for wish in wishes])
    assert scores == [alone.score(plan_of(alone, wish)) for wish in wishes]
