"""Jobs of the command line: limits of a sweep as jobs, and the place where plans are scored."""

from dataclasses import replace
from pathlib import Path

import pytest

from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job, Place, Sweep
from gnnrl.errors import ConfigError
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
    assert Sweep.of(JOB, sweep.limits).limits == sweep.limits
    assert JOB.jobs() == [JOB]
    for limits in ((), ("macs<=50%", "macs <= 50%")):
        with pytest.raises(ConfigError, match="each of them once"):
            replace(sweep, limits=limits).jobs()


def test_workers_alone_stand_for_processes() -> None:
    assert isinstance(JOB.place.find(), SerialExecutor)
    executor = Place(workers=2).find()
    assert isinstance(executor, ProcessExecutor)
    assert executor.workers == 2
