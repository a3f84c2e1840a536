"""What a run remembers of a search: trials in order, failures, budgets that were raised."""

from pathlib import Path
from typing import Any

import pytest

from gnnrl.errors import ArtifactError, ConfigError, EvaluationError
from gnnrl.runs.directory import RunDirectory
from gnnrl.runs.memory import SearchMemory
from gnnrl.scoring.plans import Trial

FIRST, SECOND = Trial(0, (3, 4), 0.5, 120, 1.5), Trial(1, (2, 2), 0.25, 60, 0.5)


def test_trials_come_back_in_their_order_and_failures_do_not(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as run:
        written = SearchMemory(run)
        written.record(FIRST)
        written.fail(1, (9, 9), EvaluationError("NaN"))
        written.record(SECOND)

        assert SearchMemory(run).trials == [FIRST, SECOND]


def test_another_plan_than_the_one_that_was_judged_is_refused(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as run:
        SearchMemory(run).record(FIRST)
        found = SearchMemory(run)

        assert found.recall(0, (3, 4)) == FIRST
        assert found.recall(1, (3, 4)) is None
        with pytest.raises(ArtifactError, match="another plan"):
            found.recall(0, (3, 5))


def test_a_search_that_uses_fewer_trials_than_it_judged_before_is_refused(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as run:
        SearchMemory(run).record(FIRST)
        found = SearchMemory(run)
        found.check_used(1)

        with pytest.raises(ArtifactError, match="evaluation 1"):
            found.check_used(0)


def test_budgets_can_only_be_raised(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as run:
        found = SearchMemory(run)

        assert [found.budgets(evaluations) for evaluations in (10, 10, 25)] == [[10], [10], [10, 25]]
        with pytest.raises(ConfigError, match="25 evaluations, more than 10"):
            found.budgets(10)


@pytest.mark.parametrize(
    "change", [{"number": 3}, {"widths": [0, 1]}, {"widths": "34"}, {"score": "high"}, {"macs": -1}, {"seconds": None}]
)
def test_trials_that_no_search_writes_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    trial = {"number": 0, "widths": [3, 4], "score": 0.5, "macs": 120, "seconds": 1.5}
    with RunDirectory(tmp_path / "run") as run:
        run.journal.append("trial", **trial | change)

        with pytest.raises(ArtifactError):
            SearchMemory(run)
