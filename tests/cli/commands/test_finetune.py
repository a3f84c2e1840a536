"""`gnnrl finetune`: results that are trained further."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from gnnrl.artifacts import bundle
from gnnrl.cli import console
from gnnrl.storage.files import digest
from tests.cli.running import run

pytestmark = pytest.mark.usefixtures("wide")


def test_a_result_is_trained_further_and_goes_on_after_an_interruption(finished: Path) -> None:
    """Distilled from the dense network, averaged, stopped by the reward images, interrupted in its third epoch."""
    shutil.copytree(finished, "small")
    options = ("--epochs", "3", "--distill", "0.5", "--ema", "0.9", "--patience", "3", "--batch-size", "200")
    network = ("--model", "digits-resnet", "--pretrained", "--data", "digits", "--threads", "1")
    whole = run("finetune", "small", *network, *options, "--out", "whole", "--json")
    assert whole.exit_code == 0, whole.output

    advance = console.Narrator.advance

    def stop(self: console.Narrator, done: int, total: int, note: str = "") -> None:
        advance(self, done, total, note)
        if note.startswith("loss") and done > 0.7 * total:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console.Narrator, "advance", stop)
        stopped = run("finetune", "small", *network, *options, "--json")
    assert stopped.exit_code == 143, stopped.output
    assert "gnnrl resume small-finetuned" in json.loads(stopped.stdout)["error"]["message"]
    resumed = run("resume", "small-finetuned", "--json")
    assert resumed.exit_code == 0, resumed.output

    facts, expected = json.loads(resumed.stdout), json.loads(whole.stdout)
    assert facts["score"] == expected["score"]
    assert digest(Path("small-finetuned/weights.safetensors")) == digest(Path("whole/weights.safetensors"))
    assert digest(Path("small-finetuned/plan.json")) == digest(Path("small/plan.json"))
    assert bundle.read_manifest("small-finetuned")["score"]["finetuned"] == facts["score"]["finetuned"]
    assert run("resume", "small-finetuned").stdout.startswith("small-finetuned is finished")
    assert run("resume", "small-finetuned", "--extend", "2").exit_code == 2
    assert run("evaluate", "small-finetuned", *network[:2], *network[3:5]).exit_code == 0


def test_a_teacher_without_weights_is_refused(finished: Path) -> None:
    shutil.copytree(finished, "small")
    found = run("finetune", "small", "--model", "digits-resnet", "--data", "digits", "--distill", "0.5")
    assert found.exit_code == 2
    assert "--distill needs the dense network's weights" in found.stderr
    assert [path.name for path in Path().iterdir()] == ["small"]
