"""The benchmarks of the search run, go on where they were interrupted, and measure what they say."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from gnnrl.compression.study import Study
from gnnrl.searchers.table import SEARCHERS
from gnnrl.searchers.task import Task, search
from gnnrl.zoo.networks import digits_resnet
from tests.topologies import images, topology, traced

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def script(name: str) -> ModuleType:
    return importlib.import_module(name)


def document(folder: Path, kind: str, name: str = "digits-resnet-macs50") -> dict[str, Any]:
    found: dict[str, Any] = script("ledger").read(folder / kind / f"{name}.json")
    return found


def test_a_search_is_written_and_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--quick", "--results", str(tmp_path)]
    script("search").main(quick)
    first = document(tmp_path, "search")
    capsys.readouterr()

    script("search").main(quick)
    assert document(tmp_path, "search") == first
    assert "Nothing is missing." in capsys.readouterr().out
    assert [row["arm"] for row in first["rows"].values()] == ["ppo", "annealing", "random", "uniform@l2+none"]
    for row in first["rows"].values():
        mark = row["marks"][str(row["budget"])]
        assert mark["reward"] == pytest.approx(max(row["scores"]), abs=1e-6)
        assert mark["macs"] <= first["facts"]["dense_macs"] / 2
        assert 0 < mark["outside"] < 1

    script("search").main(["--report", "--results", str(tmp_path), "--figures", str(tmp_path)])
    assert "| uniform@l2+none | 1 |" in capsys.readouterr().out
    assert (tmp_path / "search-digits-resnet-macs50.svg").exists()


@pytest.mark.filterwarnings("default")  # of the other tools
def test_plans_are_trained_alike_and_missing_tools_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script("finetune").main(["--quick", "--results", str(tmp_path)])
    found = document(tmp_path, "finetune")
    arms = {row["arm"]: row for row in found["rows"].values()}

    assert {"ppo", "uniform@l2+none"} <= set(arms)
    assert arms["ppo-unrepaired"]["macs"] == arms["ppo"]["macs"]
    assert arms["ppo-unrepaired"]["before"] < arms["ppo"]["before"]
    assert arms["uniform@l2+none"]["after"] > arms["uniform@l2+none"]["before"]
    assert all(row["macs"] <= found["facts"]["dense_macs"] / 2 for row in arms.values())
    assert "peer_fastnas.py" in found["failed"]["fastnas, seed 0"]
    assert "not run: run benchmarks/peer_fastnas.py" in capsys.readouterr().out
    assert document(tmp_path, "search")["rows"]


def test_recipes_start_at_one_network_and_end_at_different_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script("recipes").main(["--quick", "--results", str(tmp_path)])
    rows = document(tmp_path, "recipes")["rows"].values()

    assert len({row["before"] for row in rows}) == 1
    assert {row["recipe"] for row in rows} == set(script("recipes").RECIPES)
    assert "| distillation 0.9 | 1 |" in capsys.readouterr().out


def test_rewards_are_correlated_with_what_training_makes_of_a_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script("reward").main(["--quick", "--results", str(tmp_path)])
    rows = list(document(tmp_path, "reward")["rows"].values())

    assert len(rows) == 3
    for row in rows:
        raw, repaired = (row["rewards"][name]["bfloat16"]["kl"] for name in ("raw", "ls"))
        assert raw < repaired < 0
    assert "| ls, own outputs |" in capsys.readouterr().out


def test_every_part_can_be_left_out(tmp_path: Path) -> None:
    parts = ["--variants", "no graph,random features,no warm start,free steps"]
    script("ablation").main(["--quick", "--results", str(tmp_path), *parts])
    rows = document(tmp_path, "ablation")["rows"]
    cost = document(tmp_path, "ablation", "cost")["rows"]["digits-resnet"]

    assert [row["arm"] for row in rows.values()] == parts[1].split(",")
    assert rows["no warm start, 2 evaluations, seed 0"]["scores"] != rows["no graph, 2 evaluations, seed 0"]["scores"]
    assert cost["stages1"]["state_bytes"] < cost["stages2"]["state_bytes"]


def test_long_runs_begin_like_short_ones_unless_they_are_said_not_to() -> None:
    study = Study(
        topology("residual").model,
        images(),
        evaluate=lambda model: sum(parameter.sum().item() for parameter in model.parameters()),
        importance="l2",
        repair="none",
        network=traced("residual").network,
    )

    def widths(name: str, evaluations: int) -> list[tuple[int, ...]]:
        task: Task = study.task(study.goal("macs<=50%"), evaluations)
        search(SEARCHERS[name], task)
        return [trial.widths for trial in task.trials]

    marks = script("marks")
    assert set(SEARCHERS) > marks.SCHEDULED
    for name in SEARCHERS.keys() - marks.SCHEDULED:
        assert widths(name, 14)[:8] == widths(name, 8), f"{name} plans for its budget: add it to marks.SCHEDULED"


def test_a_ledger_shares_rows_among_processes(tmp_path: Path) -> None:
    path, keys = tmp_path / "x.json", ["a", "b", "c", "d"]
    one, other = (script("ledger").Ledger(path, {"limit": 1.0}, {}) for _ in range(2))
    one.plan(keys)
    working = one.claim(keys)
    assert next(working) == "a"

    for key in other.claim(keys):
        if key == "b":
            other.fail(key, "no tool")
        else:
            other.keep(key, {"arm": key})
    assert list(one.rows) == ["c", "d"]
    one.keep("a", {"arm": "a"})
    assert list(working) == ["b"]
    assert other.missing == ["b"]
    assert script("ledger").unmeasured(other.document) == "Missing:\n- b (not run: no tool)"
    one.forget(["c"])
    assert sorted(other.rows) == ["a", "d"]


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    ledger = script("ledger").Ledger(tmp_path / "x.json", {}, {})
    with FileLock(ledger._lock("a")):
        assert list(ledger.claim(["a"])) == []
    assert list(ledger.claim(["a"])) == ["a"]


def test_a_ledger_refuses_rows_under_other_settings(tmp_path: Path) -> None:
    make = script("ledger").Ledger
    make(tmp_path / "x.json", {"limit": "50%", "reward": 0.5}, {})
    make(tmp_path / "x.json", {"limit": "50%", "reward": 0.5 + 1e-6}, {})

    with pytest.raises(SystemExit, match=r"other settings \(limit, reward\)"):
        make(tmp_path / "x.json", {"limit": "35%", "reward": 0.6}, {})


def test_a_short_run_serves_its_own_mark_and_a_long_one_all(tmp_path: Path) -> None:
    marks = script("marks")

    assert list(marks.Arm.parse("random").keys(150, 1).values()) == [150]
    assert list(marks.Arm.parse("annealing").keys(150, 1).values()) == [50, 150]
    assert list(marks.Arm.parse("ranked@taylor").keys(150, 0).values()) == [1]
    assert not marks.Arm.parse("ranked@taylor").keys(150, 1)
    assert marks.Arm.parse("random").marks(300) == (50, 150, 300)
    assert marks.Arm.parse("uniform@l2+none").repair == "none"


def test_a_run_is_not_missing_once_a_longer_one_is_there() -> None:
    planned = ["random, 150 evaluations, seed 0", "greedy, 150 evaluations, seed 0"]
    long = {"arm": "random", "seed": 0, "budget": 300, "marks": {"50": {}, "150": {"test": 0.5}, "300": {}}}
    found = {"planned": planned, "rows": {"random, 300 evaluations, seed 0": long}, "failed": {}}

    assert script("ledger").missing(script("marks").wanted(found)) == planned[1:]


def test_a_searcher_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def fails(task):\n    raise RuntimeError('on purpose')\n")
    arms = f"{tmp_path / 'own.py'}:fails,random"
    subject, marks = script("subject"), script("marks")
    options = subject.parser(None).parse_args(["--quick", "--results", str(tmp_path)])
    loaded = subject.Subject.load(options)
    ledger = loaded.ledger("search")
    marks.search(ledger, loaded, [marks.Arm.parse(arm) for arm in arms.split(",")], 2, [0])

    assert [row["arm"] for row in ledger.rows.values()] == ["random"]
    (reason,) = ledger.document["failed"].values()
    assert reason.endswith("own.py:2: RuntimeError: on purpose")


def test_the_twin_for_torch_pruning_computes_the_same() -> None:
    peer, x = script("peer_torch_pruning"), torch.randn(2, 1, 8, 8)
    model = digits_resnet().eval()
    twin = peer.twin(model)

    torch.testing.assert_close(twin(x), model(x))
    with torch.no_grad():
        for block in twin.modules():
            if isinstance(block, peer.Padding):
                order = np.random.permutation(block.out_channels)[: block.out_channels // 2]
                block.weight = torch.nn.Parameter(block.weight[order])
                stride = torch.randn(1, block.in_channels, 4, 4)
                torch.testing.assert_close(peer.Selection(block)(stride), block(stride))
    torch.testing.assert_close(peer.selecting(peer.twin(model))(x), model(x))


def test_runs_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    """In a process of its own, since it forks the commands that it kills."""
    command = [sys.executable, "-W", "ignore", str(FOLDER / "trust.py"), "--kills", "2", "--quick"]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "2 kills" in done.stdout
    assert "0 results differ" in done.stdout


def test_limits_in_latency_are_timed_beside_half_of_the_macs() -> None:
    latency = script("latency")
    found = latency.measured("digits-resnet", "latency<=70%", rounds=1)

    assert list(found["rows"]) == ["dense", "latency<=70%", "macs<=50%", "macs<=50%, any width"]
    assert found["rows"]["dense"]["share"] == 1
    assert found["rows"]["macs<=50%"]["macs"] <= 0.5
    assert found["check"]["limit_ms"] == pytest.approx(0.7 * found["check"]["dense_ms"], rel=0.01)
    assert "| digits-resnet | `latency<=70%` |" in latency.table({"digits-resnet": found})


def test_scaling_measures_workers_and_writes_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    scaling = script("scaling")
    monkeypatch.setattr(scaling, "SIZES", ((0.01, 2),))
    monkeypatch.setattr(scaling, "EMPTY", 5)
    row = scaling.measured("threads", scaling.ThreadExecutor(2), 2)

    assert 0 < row["sizes"]["0.01"]["speed_up"] <= 2
    page = scaling.page(
        {
            "machine": {"processor": "one", "cores": 2},
            "load": 0.5,
            "date": "2026-01-01",
            "sleeping": {"threads": [row], "processes": [{**row, "overhead": 0.002}], "ray": []},
            "real": {"serial": 4.0, "two processes": 2.0},
        }
    )
    assert "| 2 | threads |" in page
    assert "2.00 times as fast" in page
    assert "| 0.01 s | 5 | 500 |" in page
