"""A search finds the same whoever judges its plans."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from gnnrl import compare
from gnnrl.compression.pipeline import compress
from gnnrl.compression.result import CompressionResult
from gnnrl.errors import ConfigError
from gnnrl.executors.process import ProcessExecutor
from gnnrl.executors.serial import SerialExecutor
from tests.executors.children import children, is_worker
from tests.executors.plans import CASE


def spread(model: nn.Module) -> float:
    """A score that hangs on every weight and on chance."""
    inputs = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        return float(model(inputs).std())


def search(path: Path, **more) -> CompressionResult:
    settings = {"searcher": "random-prior", "episodes": 5, "calibration": [torch.ones(4, 3, 8, 8)]}
    return compress(CASE.model, CASE.example_inputs, "macs<=60%", evaluate=spread, run=path, **settings | more)


def trials(result: CompressionResult) -> list[tuple[tuple[int, ...], float]]:
    return [(trial.widths, trial.score) for trial in result.history]


def test_processes_find_what_one_finds_and_write_it_down_in_the_same_order(tmp_path: Path) -> None:
    serial, parallel = search(tmp_path / "serial"), search(tmp_path / "parallel", executor=ProcessExecutor(2))

    assert trials(parallel) == trials(serial)
    assert parallel.plan == serial.plan
    assert parallel.score == serial.score
    assert parallel.search_seconds.algebra > 0
    lines = [json.loads(line) for line in (tmp_path / "parallel" / "journal.jsonl").read_text().splitlines()]
    written = [(tuple(line["widths"]), line["score"]) for line in lines if line["kind"] == "trial"]
    assert written == trials(serial)


def test_an_interrupted_search_leaves_no_process_and_goes_on_elsewhere(tmp_path: Path) -> None:
    def interrupt(trial: object) -> None:
        raise KeyboardInterrupt

    before = children()
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run", executor=ProcessExecutor(1), on_trial=interrupt)
    assert not [process for process in children() - before if is_worker(process)]
    assert trials(search(tmp_path / "run", executor="serial")) == trials(search(tmp_path / "other"))


def test_an_executor_is_closed_after_a_comparison_of_searchers() -> None:
    executor = SerialExecutor()
    found = compare(
        CASE.model,
        CASE.example_inputs,
        "macs<=60%",
        evaluate=spread,
        importance="l2",
        repair="none",
        searchers=["curves", "random"],
        seeds=[0],
        episodes=3,
        executor=executor,
    )

    assert [len(run.scores) for run in found.runs] == [1, 3]
    with pytest.raises(ConfigError, match="started"):
        executor.map([])
