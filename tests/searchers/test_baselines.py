from gnnrl.pruning.plan import Plan
from gnnrl.searchers.table import SEARCHERS
from gnnrl.searchers.task import search
from tests.searchers.problem import CASE, task


def test_uniform_and_ranked_are_the_plans_of_that_name() -> None:
    work, ranked = task(), task()
    search(SEARCHERS["uniform"], work)
    search(SEARCHERS["ranked"], ranked)

    assert work.trials[0].widths == Plan.uniform(CASE.network, "macs<=60%").widths
    assert ranked.trials[0].widths == Plan.ranked(CASE.network, "macs<=60%", ranked.scores).widths
    assert len(work.trials) == 1
