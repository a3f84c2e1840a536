import numpy as np

from gnnrl.pruning.allocation import WISH_BOUND
from gnnrl.searchers.wishes import Wishes
from tests.searchers.problem import CASE, task


def test_a_wish_of_zeros_is_the_closed_form() -> None:
    work = task()
    wishes = Wishes(work)

    assert wishes.plan(np.zeros(wishes.size)).tolist() == work.prior(work.projection).tolist()


def test_around_known_plans_a_new_one_is_found_further_away() -> None:
    work = task(evaluations=200)
    wishes, rng = Wishes(work), np.random.default_rng(0)
    centre = np.zeros(wishes.size)
    wishes.ask(centre)
    near = wishes.new_near(centre, 1e-3, rng)

    assert not wishes.is_known(near)
    assert 1e-2 < np.abs(near).max() <= WISH_BOUND


def test_score_all_is_score_one_by_one() -> None:
    wishes = np.random.default_rng(1).normal(0, 1, (5, len(CASE.network.groups)))
    together, alone = Wishes(task()), Wishes(task())

    assert together.score_all(wishes) == [alone.score(wish) for wish in wishes]
