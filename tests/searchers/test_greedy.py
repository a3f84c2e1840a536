import numpy as np

from gnnrl.network.cost import Budget
from gnnrl.searchers.greedy import _narrowed, netadapt
from gnnrl.searchers.task import search
from tests.searchers.problem import CASE, batches, task


def test_a_group_alone_is_narrowed_until_the_budget_holds_or_to_its_least() -> None:
    work, dense = task(), CASE.network.widths
    half = CASE.network.cost.measure(dense).macs // 2
    found = _narrowed(work, dense, Budget((("macs", half),)))

    assert sorted(found) == [0, 1, 2, 3]
    for group, widths in found.items():
        assert (np.flatnonzero(widths != dense) == [group]).all()
        wider = widths + (np.arange(4) == group)
        assert CASE.network.cost.measure(wider).macs > half


def test_a_step_tries_as_many_groups_as_the_root_of_the_evaluations() -> None:
    work = task(9)
    search(netadapt, work)

    assert batches(work)[0] == 1
    assert set(batches(work)[1:4]) <= {1, 2, 3}
    assert max(batches(work)) == 3
