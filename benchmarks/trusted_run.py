"""The run that `trust.py` kills and `faults.py` harms, and what must come of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from victims import Fault, Victim

from gnnrl.runs.memory import read_trials
from gnnrl.storage.files import digest
from gnnrl.storage.journal import Journal

EPISODES, EPOCHS = 8, 3
PRUNE = (
    *("prune", "--model", "digits-resnet", "--pretrained", "--data", "digits", "--threads", "1"),
    *("--searcher", "ppo", "--episodes", str(EPISODES), "--metric", "loss", "--calibration-images", "60"),
    *("--finetune-epochs", str(EPOCHS), "--batch-size", "100", "--ema", "0.9", "--out", "small"),
)
RESUME = ("resume", "small")
EXPORT = ("export", "small", "--model", "digits-resnet", "--out", "narrow.py", "--force")
STAGES = (
    "loading",
    "tracing",
    "reading",
    "calibrating",
    "searching",
    "verifying",
    "fine-tuning",
    "testing",
    "measuring",
)

Row = dict[str, Any]


def run(arguments: Sequence[str], folder: Path, fault: Fault | None = None) -> tuple[int, Victim]:
    """Run a command to its end; return its exit code."""
    victim = Victim(arguments, folder, fault)
    return victim.wait(), victim


def outcome(folder: Path) -> Any:
    """What must be equal: weights, plan, scores, and all judged plans with the bits of their scores."""
    small = folder / "small"
    journal = Journal(small / "run" / "journal.jsonl")
    journal.close()
    trials = [(trial.number, trial.widths, trial.score.hex()) for trial in read_trials(journal)]
    manifest = json.loads((small / "manifest.json").read_text())
    return digest(small / "weights.safetensors"), digest(small / "plan.json"), manifest["score"], trials


def written(folder: Path) -> int:
    """How many judged plans are on the disk."""
    lines: list[bytes] = []
    for place in (folder / "small.run", folder / "small" / "run"):
        if (place / "journal.jsonl").exists():
            lines = (place / "journal.jsonl").read_bytes().splitlines(keepends=True)
            break
    return sum(b'"kind":"trial"' in line and line.endswith(b"}\n") for line in lines)
