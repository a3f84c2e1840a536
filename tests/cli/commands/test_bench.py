"""`gnnrl bench`: tables of what was measured, and names that are refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gnnrl.cli.app import app
from gnnrl.cli.commands import bench
from gnnrl.cli.commands.bench import Benched, Speed, tabulate
from gnnrl.cli.console import Narrator, stdout
from gnnrl.errors import ConfigError
from tests.cli.contestants import EAGER


def test_a_missing_engine_is_told_and_left_out(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    pair = {"dense": EAGER, "pruned": replace(EAGER, result=saved)}

    with pytest.raises(
        ConfigError,
        match=r"nothing could be measured: onnxruntime: it is not installed; run: .*pip install 'onnx",
    ):
        bench._measure(pair, ["onnxruntime"], 1, 600, Narrator())


def test_bench_compares_in_processes_and_prints_one_object(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(saved.parent)
    settings = ("--model", "digits-resnet", "--engines", "eager", "--rounds", "1", "--batch", "4", "--threads", "1")
    result = CliRunner().invoke(app, ["bench", str(saved), *settings, "--json"])

    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["missing"], facts["batch"], facts["threads"]) == ({}, 4, 1)
    for row in facts["engines"]["eager"].values():
        assert 0 < row["latency_ms"]["p5"] <= row["latency_ms"]["median"] <= row["latency_ms"]["p95"]
        spread = row["images_per_second_spread"]
        assert 0 < spread["p5"] <= row["images_per_second"] <= spread["p95"]
        assert row["calls"] > 0


def test_percentiles_are_those_of_all_calls() -> None:
    calls = [float(value) for value in range(1, 102)]
    speed = Speed.of(calls, calls, 6, 1.0)
    assert speed.latency_ms == {"median": 51e3, "p5": 6e3, "p95": 96e3}
    assert (speed.images_per_second, speed.images_per_second_spread) == (0.1, {"p5": 0.1, "p95": 1.0})
    assert set(Speed.of([0.5], [0.5], 2, 1.0).latency_ms.values()) == {500.0}


def test_the_table_has_a_row_for_each_network_and_how_much_faster_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def row(milliseconds: float, rate: float, memory: float) -> Speed:
        latency = {"median": milliseconds, "p5": milliseconds - 1, "p95": milliseconds + 1}
        spread = {"p5": 0.9 * rate, "p95": 1.1 * rate}
        return Speed(latency, rate, spread, memory, 9)

    engines = {"eager": {"dense": row(10, 100, 200), "pruned": row(5, 150, 100)}}
    stdout().print(tabulate(Benched("small", "digits-resnet", 64, "cpu", 2, engines, {})))

    shown = capsys.readouterr().out
    for text in ("cpu, 2 threads", "eager, dense", "11.00", "x2.00", "x1.50", "90", "110", "pruned to dense", "50%"):
        assert text in shown


@pytest.mark.parametrize(
    ("engines", "said"),
    [("egaer", "did you mean eager?"), (",", "names none"), ("eager,tensorrt", "there is no engine 'tensorrt'")],
)
def test_engines_that_are_not_there_are_refused_with_a_suggestion(saved: Path, engines: str, said: str) -> None:
    result = CliRunner().invoke(app, ["bench", str(saved), "--model", "digits-resnet", "--engines", engines])

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_a_damaged_result_and_another_network_are_told_before_any_engine_starts(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: Any) -> None:
        raise AssertionError("an engine was started")

    monkeypatch.setattr(bench, "ready", start)
    other = CliRunner().invoke(app, ["bench", str(saved), "--model", "cifar-resnet20"])
    assert (other.exit_code, other.stderr.count("holds another network")) == (6, 1)
    (saved / "weights.safetensors").write_bytes(b"no")
    damaged = CliRunner().invoke(app, ["bench", str(saved), "--model", "digits-resnet"])
    assert (damaged.exit_code, damaged.stderr.count("is damaged")) == (6, 1)
