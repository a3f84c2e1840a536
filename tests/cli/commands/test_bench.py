"""`gnnrl bench`: measuring processes that answer, tables of what they say, and names that are refused."""

import json
import multiprocessing
import os
import signal
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from gnnrl.artifacts import bundle
from gnnrl.cli import bench_workers
from gnnrl.cli.app import app
from gnnrl.cli.bench_workers import Contestant, measure, peak_memory, ready
from gnnrl.cli.commands import bench
from gnnrl.cli.commands.bench import tabulate
from gnnrl.cli.console import Silent, stdout
from gnnrl.cli.inputs import Source
from gnnrl.errors import ConfigError
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan
from gnnrl.zoo.models import example_inputs, resolve_model

EAGER = Contestant(source=Source(model="digits-resnet"), batches=(1, 4), device="cpu", threads=torch.get_num_threads())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = resolve_model("digits-resnet").eval()
    network = trace(model, example_inputs("digits-resnet"))
    plan = Plan.of_widths(network, network.widths // 2, [range(group.size) for group in network.groups])
    assert plan.kept is not None
    small = remove(model, network, plan.kept)
    facts = {"attributes": network.stated(network.alive(plan.kept))}
    return bundle.save(tmp_path / "small", small, plan, facts)


@pytest.mark.parametrize("pruned", [False, True])
def test_a_process_measures_what_it_is_asked_and_its_memory(saved: Path, pruned: bool) -> None:
    told: list[str] = []
    others = multiprocessing.active_children()
    with ready(replace(EAGER, result=saved if pruned else None), 600, told.append) as ask:
        one, many, megabytes = ask(measure, 0), ask(measure, 1), ask(peak_memory)
        assert len(multiprocessing.active_children()) == len(others) + 1

    assert multiprocessing.active_children() == others
    assert [text for text in told if " s" not in text] == [
        "first pass with a batch of 1",
        "first pass with a batch of 4",
    ]
    assert all(seconds > 0 for seconds in (*one, *many))
    assert 0 <= megabytes < 10_000


def test_a_process_that_cannot_run_says_why() -> None:
    wrong = replace(EAGER, source=Source(model="torchvision:resnet19"))

    with pytest.raises(ConfigError, match="no network 'resnet19'"), ready(wrong, 600, lambda text: None):
        pytest.fail("it is not ready")


def test_a_process_that_hangs_or_dies_ends_with_the_block() -> None:
    others = multiprocessing.active_children()
    with pytest.raises(ConfigError, match=r"no response within 0 s\. Raise --give-up"), ready(EAGER, 0.3, print):
        pytest.fail("it is not ready")
    assert multiprocessing.active_children() == others

    with pytest.raises(ConfigError, match="died; is there enough memory"), ready(EAGER, 600, print) as ask:
        ask(_die)


def _die(contestant: Contestant) -> None:
    """End as a process does that the system kills for its memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_missing_compiler_is_named_by_the_type_of_the_error() -> None:
    from torch._inductor.exc import InductorError, InvalidCxxCompiler

    reason = bench_workers._reason(InductorError(InvalidCxxCompiler("g++"), None))

    assert reason == "no C++ compiler was found (Compiler: g++ is not found.)"


def test_a_missing_engine_is_told_and_left_out(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    pair = {"dense": EAGER, "pruned": replace(EAGER, result=saved)}

    with pytest.raises(
        ConfigError,
        match=r"nothing could be measured: onnxruntime: it is not installed; run: .*pip install 'onnx",
    ):
        bench._measure(pair, ["onnxruntime"], 1, 600, Silent())


def test_bench_compares_in_processes_and_prints_one_object(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(saved.parent)
    settings = ("--model", "digits-resnet", "--engines", "eager", "--rounds", "1", "--batch", "4", "--threads", "1")
    result = CliRunner().invoke(app, ["bench", str(saved), *settings, "--json"])

    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["missing"], facts["batch"], facts["threads"]) == ({}, 4, 1)
    for row in facts["engines"]["eager"].values():
        assert 0 < row["latency_ms"]["p5"] <= row["latency_ms"]["median"] <= row["latency_ms"]["p95"]
        assert row["images_per_second"] > 0
        assert row["calls"] > 0


def test_what_a_silent_process_does_is_told_until_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_workers, "_PULSE_SECONDS", 0.01)
    told: list[str] = []

    with pytest.raises(ConfigError, match=r"no response within 0 s\. Raise --give-up"):
        bench_workers._answer(Future(), 0.05, told.append, "compiling")

    assert told[:2] == ["compiling, 0 s", "compiling, 0 s"]
    late: Future[int] = Future()
    Timer(0.05, late.set_result, (3,)).start()
    assert bench_workers._answer(late, 60) == 3


def test_percentiles_are_those_of_all_calls() -> None:
    assert bench._tails([float(value) for value in range(101)]) == pytest.approx((5.0, 95.0))
    assert bench._tails([0.5]) == (0.5, 0.5)


def test_the_table_has_a_row_for_each_network_and_how_much_faster_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def row(milliseconds: float, rate: float, memory: float) -> dict[str, Any]:
        latency = {"median": milliseconds, "p5": milliseconds - 1, "p95": milliseconds + 1}
        return {"latency_ms": latency, "images_per_second": rate, "peak_memory_mb": memory, "calls": 9}

    engines = {"eager": {"dense": row(10, 100, 200), "pruned": row(5, 150, 100)}}
    stdout().print(tabulate({"engines": engines, "batch": 64, "device": "cpu", "threads": 2}))

    shown = capsys.readouterr().out
    for text in ("cpu, 2 threads", "eager, dense", "11.00", "x2.00 speed", "x1.50", "50%"):
        assert text in shown


@pytest.mark.parametrize(
    ("engines", "said"),
    [("egaer", "did you mean eager?"), (",", "names none"), ("eager,tensorrt", "there is no engine 'tensorrt'")],
)
def test_engines_that_are_not_there_are_refused_with_a_suggestion(saved: Path, engines: str, said: str) -> None:
    result = CliRunner().invoke(app, ["bench", str(saved), "--model", "digits-resnet", "--engines", engines])

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
