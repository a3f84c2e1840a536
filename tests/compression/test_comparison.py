"""A comparison as data: rows of medians and spreads."""

from tests.compression.tiny import compared, params
from tests.topologies import topology


def test_rows_are_medians_and_spreads_over_seeds() -> None:
    result = compared(seeds=[0, 1, 2], test=lambda model: params(model) / 2)
    row = next(row for row in result.rows() if row.searcher == "random")
    best = [max(run.scores) for run in result.runs if run.searcher == "random"]

    assert [row.searcher for row in result.rows()] == ["evolution", "random", "uniform"]
    assert (row.seeds, row.evaluations, row.reward) == (3, 6, sorted(best)[1])
    assert row.reward_spread == max(best) - min(best)
    assert row.test == row.reward / 2
    assert result.dense == {"reward": params(topology("residual").model), "test": result.dense["reward"] / 2}
