"""A small search by the command line, whole and interrupted."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from gnnrl.artifacts import bundle
from gnnrl.cli import follower, preparing
from gnnrl.storage.files import digest
from gnnrl.zoo.digits import DIGITS_WEIGHTS
from tests.cli.running import run

SEARCH = ("--searcher", "evolution", "--episodes", "5", "--metric", "loss", "--calibration-images", "60")


PRUNE = ("prune", "--model", "digits-resnet", "--weights", str(DIGITS_WEIGHTS), "--data", "digits", "--threads", "1")


SMALL = (*PRUNE, *SEARCH, "--finetune-epochs", "0", "--out", "small")


def interrupted(after: int, number: int, *arguments: str) -> Result:
    """Run a command that gets a signal while it judges the plan of this number."""

    class Signalled(follower.Follower):
        def judged(self, trial: Any) -> None:
            if trial.number == after:
                signal.raise_signal(number)
            super().judged(trial)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "Follower", Signalled)
        return run(*arguments)


def outcome(result: str = "small") -> Any:
    manifest = bundle.read_manifest(result)
    journal = [json.loads(line) for line in (Path(result) / "run" / "journal.jsonl").read_text().splitlines()]
    trials = [(record["widths"], record["score"]) for record in journal if record["kind"] == "trial"]
    return trials, manifest["score"], digest(Path(result) / "weights.safetensors")
