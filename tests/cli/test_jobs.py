"""Jobs of the command line: what is refused before any data are read, and limits of a sweep as jobs."""

from dataclasses import replace
from pathlib import Path

import pytest

from gnnrl.cli.console import Silent
from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job, Sweep, check_settings, executor_of, prepare
from gnnrl.errors import ConfigError, UnreachableConstraint
from gnnrl.executors.process import ProcessExecutor
from gnnrl.executors.serial import SerialExecutor

JOB = Job(source=Source(model="digits-resnet", pretrained=True), data="digits", searcher="curves")


def test_a_job_for_each_limit_of_a_sweep_with_a_folder_of_its_name() -> None:
    sweep = Sweep(source=JOB.source, data="digits", seed=3, out=Path("all"), limits=("macs<=50%", "params<=1.5M"))

    assert [(job.constraint, job.out) for job in sweep.jobs()] == [
        ("macs<=50%", Path("all/macs-50")),
        ("params<=1.5M", Path("all/params-1500000")),
    ]
    assert {job.seed for job in sweep.jobs()} == {3}
    for limits in ((), ("macs<=50%", "macs <= 50%")):
        with pytest.raises(ConfigError, match="each of them once"):
            replace(sweep, limits=limits).jobs()


def test_random_weights_are_refused_where_weights_count() -> None:
    job = replace(JOB, source=Source(model="digits-resnet"))

    with pytest.raises(ConfigError, match="random weights"):
        check_settings(job)
    check_settings(job, trained=False)
    check_settings(JOB)


def test_workers_alone_stand_for_processes() -> None:
    assert isinstance(executor_of(JOB), SerialExecutor)
    executor = executor_of(replace(JOB, workers=2))
    assert isinstance(executor, ProcessExecutor)
    assert executor.workers == 2


def test_limits_are_checked_before_data_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrl.cli.jobs.load_splits", lambda *_, **__: pytest.fail("the data were read"))

    work = prepare(JOB, Silent(), ["macs<=50%", "params<=40%"])

    assert [goal.constraint for goal in work.goals] == ["macs<=50%", "params<=40%"]
    assert work.goal is work.goals[0]
    with pytest.raises(UnreachableConstraint):
        prepare(JOB, Silent(), ["macs<=50%", "macs<=0.1%"])
    with pytest.raises(ConfigError, match="nothing to prune"):
        prepare(JOB, Silent(), ["macs<=1G"])


def test_the_study_takes_its_data_when_they_are_read() -> None:
    work = prepare(replace(JOB, reward_images=20), Silent(), ["macs<=50%"])
    data = work.data

    assert work.data is data
    assert 0 < work.study.evaluate(work.fed.model) <= 1
    assert work.test.data is data.test
