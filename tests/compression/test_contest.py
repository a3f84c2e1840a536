"""Runs of searchers: equal conditions, resumed files, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from gnnrl.compression.comparison import Comparison
from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.network.structure import Network
from gnnrl.pruning.projection import Projection
from gnnrl.searchers.task import Task
from tests.compression.tiny import CASE, compared, params


def test_every_searcher_runs_with_every_seed_and_closed_forms_once() -> None:
    stages: list[str] = []
    result = compared(on_stage=stages.append)
    network: Network = CASE.network

    assert [(run.searcher, run.seed) for run in result.runs] == [
        ("evolution", 0),
        ("random", 0),
        ("uniform", 0),
        ("evolution", 1),
        ("random", 1),
    ]
    assert stages == ["trace", "calibrate", "curves", *(f"{run.searcher}, seed {run.seed}" for run in result.runs)]
    assert not result.missing
    for run in result.runs:
        assert Projection.build(network, "macs<=50%").holds(np.array(run.widths))
        assert len(run.scores) == len(run.seconds) == (1 if run.searcher == "uniform" else 6)
        assert list(run.seconds) == sorted(run.seconds)
        assert run.best_so_far[-1] == max(run.scores)
        assert run.test is None


def test_test_images_are_read_once_a_run_after_all_runs() -> None:
    stages: list[str] = []
    read: list[str] = []

    def count(model: nn.Module) -> float:
        read.append(stages[-1])
        return float(len(read))

    result = compared(test=count, on_stage=stages.append)

    assert read == ["test"] * (1 + len(result.runs))
    assert [result.dense["test"], *(run.test for run in result.runs)] == list(range(1, len(read) + 1))


def test_an_interrupted_comparison_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "new" / "comparison.json"
    ran: list[int] = []

    def stops_at_the_second(task: Task) -> None:
        ran.append(task.seed)
        task.score(task.prior(task.projection))
        if len(ran) == 2:
            raise KeyboardInterrupt

    settings = {"searchers": [stops_at_the_second, "random"], "path": path, "test": params}
    with pytest.raises(KeyboardInterrupt):
        compared(**settings)
    before = Comparison.load(path)
    assert before.missing == [("stops_at_the_second", 1), ("random", 1)]

    after = compared(**settings)
    assert ran == [0, 1, 1]
    assert not after.missing
    assert [run.scores for run in after.runs[:2]] == [run.scores for run in before.runs]
    assert all(run.test is not None for run in after.runs)
    assert Comparison.load(path) == after
    assert not path.with_suffix(".partial").exists()


def test_more_searchers_and_seeds_join_a_comparison(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    first = compared(searchers=["random"], seeds=[0], path=path)
    more = compared(searchers=["annealing"], seeds=[0, 1], path=path)

    assert more.runs[0] == first.runs[0]
    assert [(run.searcher, run.seed) for run in more.runs] == [("random", 0), ("annealing", 0), ("annealing", 1)]


def test_runs_under_other_settings_are_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    compared(searchers=["random"], path=path)

    stages: list[str] = []
    with pytest.raises(ConfigError, match="other settings \\(episodes\\)"):
        compared(searchers=["random"], path=path, episodes=7, on_stage=stages.append)
    assert not stages, "it is refused before any work"
    with pytest.raises(ConfigError, match="reward of the dense network"):
        compared(searchers=["random"], path=path, evaluate=lambda model: 1.0)
    path.write_text('{"format": 1}')
    with pytest.raises(ArtifactError, match="not a saved comparison"):
        compared(searchers=["random"], path=path)
    path.write_text('{"format": 9}')
    with pytest.raises(ArtifactError, match="format 9"):
        compared(searchers=["random"], path=path)


@pytest.mark.parametrize(
    "wrong", [{"searchers": []}, {"seeds": []}, {"searchers": ["random", "random"]}, {"seeds": [1, 1]}]
)
def test_a_comparison_without_distinct_searchers_and_seeds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="searchers with different names, and different seeds"):
        compared(**wrong)


def test_every_searcher_judges_under_the_same_conditions() -> None:
    """The score of a plan is the same whoever asks: one reward, one repair, one criterion."""
    seen: dict[tuple[int, ...], set[float]] = {}

    def noting(task: Task) -> None:
        for logits in np.random.default_rng(task.seed % 2).normal(0, 1, (4, len(task.network.groups))):
            widths = task.projection.of_logits(logits)
            seen.setdefault(tuple(widths.tolist()), set()).add(task.score(widths))

    compared(searchers=[noting], seeds=[0, 2, 4])

    assert all(len(scores) == 1 for scores in seen.values())
