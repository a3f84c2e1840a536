import numpy as np

from gnnrl.searchers.exchanges import exchange
from tests.searchers.problem import task


def test_an_exchange_takes_at_most_a_share_of_one_group_gives_to_others_and_keeps_the_limit() -> None:
    work, rng = task(), np.random.default_rng(0)
    widths = work.prior(work.projection)
    changes = [exchange(work.projection, widths, 0.25, rng) - widths for _ in range(40)]

    assert all(work.projection.holds(widths + change) for change in changes)
    assert all((change < 0).sum() <= 1 for change in changes)
    assert all((-change <= 0.25 * work.network.widths + 1).all() for change in changes)
    assert sum(change.any() for change in changes) > 20
    assert len({tuple(change) for change in changes}) > 10
