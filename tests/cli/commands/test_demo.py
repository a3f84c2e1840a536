"""`gnnrl demo`."""

import json
from pathlib import Path

import pytest
import torch

from gnnrl.artifacts import bundle
from gnnrl.cli import console
from tests.cli.running import refused, run

pytestmark = pytest.mark.usefixtures("folder")


def test_demo_prints_one_object_and_saves_a_network_that_evaluates_to_its_score() -> None:
    threads = torch.get_num_threads()
    result = run("demo", "--json", "--episodes", "3", "--out", "small")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert set(facts["score"]) == {"dense", "pruned", "repaired", "finetuned"}
    assert facts["score"]["finetuned"] > facts["score"]["dense"] - 0.02
    assert 0.97 * facts["macs"]["dense"] / 2 <= facts["macs"]["pruned"] <= facts["macs"]["dense"] / 2
    assert facts["params"]["pruned"] < facts["params"]["dense"]
    assert facts["file_bytes"]["pruned"] == Path("small/weights.safetensors").stat().st_size
    assert facts["latency_ms"]["dense"] > 0
    assert facts["seconds"] > 0
    assert (facts["out"], facts["seed"], facts["evaluations"]) == ("small", 0, 3)
    assert torch.get_num_threads() == threads
    again = run("evaluate", "small", "--json")
    assert json.loads(again.stdout)["score"] == facts["score"]["finetuned"]
    assert "is not empty" in refused(2, "demo", "--out", "small")


def test_demo_shows_two_tables_and_takes_a_free_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "PAUSE", 0.0)
    Path("gnnrl-demo").mkdir()
    Path("gnnrl-demo/precious.txt").touch()
    result = run("demo", "--episodes", "1")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "changes below" in result.stdout
    for shown in ("fine-tuned", "MACs", "parameters", "file", "ms/input", "layer3.1.conv1", "Saved in gnnrl-demo-2"):
        assert shown in result.stdout
    assert "\x1b" not in result.output
    assert "searching" in result.stderr
    assert "best loss" in result.stderr
    assert bundle.read_manifest("gnnrl-demo-2")["evaluations"] == 1
