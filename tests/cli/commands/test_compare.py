"""`gnnrl compare`: table, figure, and what is kept when it is interrupted."""

import json
import signal
from pathlib import Path

import pytest

from gnnrl.cli import follower, preparing
from gnnrl.scoring.plans import Trial
from tests.cli.running import prune, refused, run

pytestmark = pytest.mark.usefixtures("folder")


def test_compare_prints_a_table_draws_a_figure_and_goes_on() -> None:
    settings = ("compare", *prune()[1:], "--metric", "loss", "--episodes", "3", "--seeds", "2", "--out", "arms")
    result = run(*settings, "--searchers", "random,curves")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert all(shown in result.stdout for shown in ("random", "curves", "spread", "test", "arms/comparison.svg"))
    assert Path("arms/comparison.svg").read_text().rstrip().endswith("</svg>")
    again = run(*settings, "--searchers", "curves,random", "--json")
    facts = json.loads(again.stdout)
    assert [row["searcher"] for row in facts["rows"]] == ["random", "curves"]
    assert json.loads(Path("arms/comparison.json").read_text())["runs"] == facts["runs"]
    assert facts["missing"] == []
    assert "random, seed 0" not in again.stderr
    assert "other settings" in refused(2, *settings, "--searchers", "random", "--episodes", "4")


def test_compare_says_what_is_kept_when_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(follower.Follower):
        plans = 0

        def judged(self, trial: Trial) -> None:
            super().judged(trial)
            Stopping.plans += 1
            if Stopping.plans in (1, 5):
                signal.raise_signal(signal.SIGINT if Stopping.plans == 1 else signal.SIGTERM)

    settings = ("compare", *prune()[1:], "--metric", "loss", "--episodes", "3", "--seeds", "1", "--out", "arms")
    settings = (*settings, "--searchers", "random,annealing", "--calibration-images", "32")
    monkeypatch.setattr(preparing, "Follower", Stopping)
    told = [" ".join(stopped.stderr.split()) for stopped in (run(*settings), run(*settings))]
    assert "No run was finished; the same command resumes with the others." in told[0]
    assert "Finished runs are kept in arms/comparison.json; the same command resumes with the others." in told[1]
    assert json.loads(run(*settings, "--json").stdout)["missing"] == []


def test_compare_refuses_names_before_it_loads_anything() -> None:
    settings = ("compare", *prune()[1:], "--searchers")
    assert "--searchers names ppo twice" in refused(2, *settings, "ppo,random, ppo")
    usage = " ".join(run(*settings, "ppo,foo").stderr.split())
    assert "there is no searcher 'foo'; there are ppo," in usage
