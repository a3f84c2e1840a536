"""Searchers side by side on a tiny network: equal conditions, files that go on, figures."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from gnnrl.compression.comparison import Comparison, Run
from gnnrl.compression.figures import draw_comparison
from gnnrl.compression.pipeline import compare
from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.network.structure import Network
from gnnrl.pruning.projection import Projection
from gnnrl.searchers.task import Task
from tests.topologies import images, topology, traced

CASE = traced("residual")


def params(model: nn.Module) -> float:
    """A reward that knows no chance: more parameters are better."""
    return float(sum(parameter.numel() for parameter in model.parameters()))


def compared(**settings: Any) -> Comparison:
    settings = {
        "evaluate": params,
        "importance": "l2",
        "repair": "none",
        "searchers": ["evolution", "random", "uniform"],
        "seeds": [0, 1],
        "episodes": 6,
    } | settings
    return compare(topology("residual").model, images(), "macs<=50%", **settings)


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


def test_rows_are_medians_and_spreads_over_seeds() -> None:
    result = compared(seeds=[0, 1, 2], test=lambda model: params(model) / 2)
    row = next(row for row in result.rows() if row.searcher == "random")
    best = [max(run.scores) for run in result.runs if run.searcher == "random"]

    assert [row.searcher for row in result.rows()] == ["evolution", "random", "uniform"]
    assert (row.seeds, row.evaluations, row.reward) == (3, 6, sorted(best)[1])
    assert row.reward_spread == max(best) - min(best)
    assert row.test == row.reward / 2
    assert result.dense == {"reward": params(topology("residual").model), "test": result.dense["reward"] / 2}


def test_test_images_are_read_once_a_run_after_all_runs() -> None:
    stages: list[str] = []
    read: list[str] = []

    def test(model: nn.Module) -> float:
        read.append(stages[-1])
        return 0.0

    result = compared(test=test, on_stage=stages.append)

    assert read == ["test"] * (1 + len(result.runs))


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
    with pytest.raises(ConfigError, match="searchers and seeds"):
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


def test_a_figure_shows_every_searcher(tmp_path: Path) -> None:
    result = compared()
    draw_comparison(result, tmp_path / "one.svg")
    draw_comparison(result, tmp_path / "two.svg")
    text = (tmp_path / "one.svg").read_text()

    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert all(name in text for name in ("evolution", "random", "uniform", "reward evaluations", "seconds"))
    assert text == (tmp_path / "two.svg").read_text()


def test_a_figure_draws_the_median_in_a_band_from_worst_to_best(tmp_path: Path) -> None:
    """Two seeds: their best rewards are 1, 3, 3, ... and 2, 2, 2, ..., so that the medians are 1.5, 2.5, 2.5, ..."""
    more = 18
    runs = [
        Run("mine", 0, (1.0, 3.0, *[2.0] * more), (1.0, 10.0, *[100.0] * more), ()),
        Run("mine", 1, (2.0, 1.0, *[1.0] * more), (1.0, 1.0, *[100.0] * more), ()),
        Run("level", 0, (-50.0,), (1.0,), ()),
    ]
    draw_comparison(Comparison({}, {}, (("mine", 0), ("mine", 1), ("level", 0)), runs), tmp_path / "one.svg")
    text = (tmp_path / "one.svg").read_text()
    lines, bands = (
        [[(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", path)] for path in re.findall(kind, text)]
        for kind in (r'd="M([\d.,L]*)"', r'd="M([\d.,L]*)Z"')
    )

    shares = (1 / 19, 1 / 2)  # the logarithm of 10 is half that of 100
    for line, band, share in zip(lines[::2], bands[::2], shares, strict=True):
        three, two, one = sorted({y for _, y in band})
        assert sorted({y for _, y in line}) == pytest.approx([(three + two) / 2, (two + one) / 2], abs=0.1)
        (first, start), (middle, before), (same, after), *_, (last, end) = line
        assert (start == before > after == end, middle == same) == (True, True)
        assert middle == pytest.approx(first + share * (last - first), abs=0.1)
    assert len(lines) == 4
    assert "level (lower)" in text


def test_a_figure_of_levels_alone_can_be_drawn(tmp_path: Path) -> None:
    draw_comparison(compared(searchers=["uniform"]), tmp_path / "one.svg")

    assert "uniform" in (tmp_path / "one.svg").read_text()
