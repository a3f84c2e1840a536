import pytest

from gnnrl.searchers.evolution_strategy import adapt
from gnnrl.searchers.task import search
from tests.searchers.problem import batches, task

pytest.importorskip("cma")


def test_the_closed_form_is_judged_with_the_first_generation_and_each_generation_together() -> None:
    work = task(19)
    search(adapt, work)

    first, *others = batches(work)
    assert work.trials[0].widths == tuple(work.prior(work.projection))
    assert 2 < first <= 1 + 8  # generations of 4 + 3 ln G plans
    assert max(others) <= 8
