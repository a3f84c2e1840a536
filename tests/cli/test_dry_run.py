"""`gnnrl prune --dry-run`: all that comes before the search, and nothing written."""

import json
from pathlib import Path

import pytest

from tests.cli.running import prune, refused, run

pytestmark = pytest.mark.usefixtures("folder")


def test_a_dry_run_tells_range_rules_and_time_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrl.compression.study.Study.compress", lambda *_, **__: pytest.fail("it searched"))
    arguments = prune("--dry-run", "--out", "small", "--keep", "layer1.0", "--threads", "1")
    told = run(*arguments)
    assert told.exit_code == 0, told.output
    assert max(map(len, told.stdout.splitlines())) <= 80
    for shown in ("no limit can be lower", "keep 'layer1.0' fixes", "can be met", "Time: about", "Nothing was written"):
        assert shown in told.stdout
    assert not Path("small").exists()
    facts = json.loads(run(*arguments, "--json").stdout)
    assert facts["smallest"]["macs"] < facts["limits"]["macs"] < facts["dense"]["macs"]
    assert facts["estimated_seconds"]["search"] > 0
    assert 0 < facts["closed_form"]["reward"] <= 1
    assert "The plan of curves" in told.stdout
    assert "cannot be met" in refused(4, *arguments, "--constraint", "macs<=1%")


def test_a_dry_run_judges_the_plan_of_the_closed_form_that_is_asked_for() -> None:
    asked = ("--dry-run", "--metric", "kl", "--reward-images", "50", "--searcher", "uniform", "--repair", "none")
    told = run(*prune(*asked))
    assert "The plan of uniform, without search and fine-tuning: kl" in told.stdout
    assert "(1 plan of" in told.stdout
    Path("other").mkdir()
    Path("other/file").touch()
    assert "other is not empty" in refused(2, *prune(*asked, "--out", "other"))
