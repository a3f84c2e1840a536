"""`gnnrl export`: every format, and files that are there already."""

import json
from pathlib import Path

import pytest

from tests.cli.running import prune, refused, run

pytestmark = pytest.mark.usefixtures("folder")


def test_a_saved_result_is_exported_in_every_format() -> None:
    result = run(*prune("--searcher", "curves", "--finetune-epochs", "0", "--out", "small", "--json"))
    assert result.exit_code == 0, result.output
    small = ("export", "small")
    told = run(*small, "--out", "small.onnx")
    assert told.exit_code == 0, told.output
    assert "batch of any size" in told.stdout
    assert "differs from PyTorch by" in told.stdout
    told = run(*small, "--out", "small.pt2", "--static-batch")
    assert "the batch is fixed: a fixed batch was requested" in told.stdout, told.output
    facts = json.loads(run(*small, "--format", "patch", "--out", "narrow.py", "--json").stdout)
    assert facts["files"] == ["narrow.py", "narrow.pt"]
    assert facts["size"] == sum(Path(name).stat().st_size for name in facts["files"])
    assert "already exists" in refused(2, *small, "--out", "narrow.py")
    assert "onnx (.onnx)" in refused(2, *small, "--out", "small.tflite")
    assert "another network" in refused(6, "export", "small", "--model", "cifar-resnet20", "--out", "other.py")
