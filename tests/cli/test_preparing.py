"""Jobs that are prepared: what is refused before any data are read, and when data are read."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from gnnrl.cli.console import Narrator
from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job
from gnnrl.cli.preparing import check_settings, prepare
from gnnrl.cli.runs import Session
from gnnrl.errors import ConfigError, UnreachableConstraint
from gnnrl.runs.directory import RunDirectory
from gnnrl.runs.interruption import Interruption

JOB = Job(source=Source(model="digits-resnet", pretrained=True), data="digits", searcher="curves")


def test_random_weights_are_refused_where_weights_count() -> None:
    job = replace(JOB, source=Source(model="digits-resnet"))

    with pytest.raises(ConfigError, match="random weights"):
        check_settings(job)
    check_settings(job, trained=False)
    check_settings(JOB)


def test_limits_are_checked_before_data_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrl.cli.preparing.load_splits", lambda *_, **__: pytest.fail("the data were read"))

    work = prepare(JOB, Narrator(), ["macs<=50%", "params<=40%"])

    assert [goal.constraint for goal in work.goals] == ["macs<=50%", "params<=40%"]
    assert work.goal is work.goals[0]
    with pytest.raises(UnreachableConstraint):
        prepare(JOB, Narrator(), ["macs<=50%", "macs<=0.1%"])
    with pytest.raises(ConfigError, match="nothing to prune"):
        prepare(JOB, Narrator(), ["macs<=1G"])


def test_the_study_takes_its_data_when_they_are_read() -> None:
    work = prepare(replace(JOB, reward_images=20), Narrator(), ["macs<=50%"])
    data = work.data

    assert work.data is data
    assert 0 < work.study.evaluate(work.fed.model) <= 1
    assert work.test.data is data.test


@pytest.mark.parametrize(("asked", "keep"), [(False, "better"), (True, "finetuned")])
def test_a_network_that_training_made_worse_is_kept_if_that_is_asked_for(asked: bool, keep: str) -> None:
    work = prepare(replace(JOB, keep_finetuned=asked), Narrator(), ["macs<=50%"])

    assert work.search(cast(Session, None)).keep == keep


def test_the_times_of_a_run_are_read_once(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "small.run", {}) as run:
        work = prepare(JOB, Narrator(), ["macs<=50%"], Session(run, Interruption()))
        ledger = work.study.timing.ledger

        assert not work.study.keep_times(run)
        assert work.study.timing.ledger is ledger
