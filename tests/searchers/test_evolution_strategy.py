import pytest

from gnnrl.searchers.evolution_strategy import CMASearcher
from gnnrl.searchers.task import run
from tests.searchers.problem import batches, task

pytest.importorskip("cma")


def test_the_closed_form_is_judged_with_the_first_generation_and_each_generation_together() -> None:
    work = task(19)
    run(CMASearcher(population=6), work)

    first, *others = batches(work)
    assert work.trials[0].widths == tuple(work.prior(work.projection))
    assert 2 < first <= 1 + 6
    assert max(others) <= 6
