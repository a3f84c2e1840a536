"""What a benchmark ran on and with, for the head of its output."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

import gnnrl
from gnnrl.pruning.rules import WidthRules

EVERY_WIDTH = WidthRules(round_to=1)
"""Widths of benchmarks that compare accuracy: the blocks of inference engines are no concern there."""


def describe() -> dict[str, Any]:
    """The command, the machine and the versions."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "command": " ".join(Path(argument).name if "/" in argument else argument for argument in sys.argv),
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gnnrl": gnnrl.__version__,
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def write(name: str, document: dict[str, Any]) -> Path:
    """Write a result beside the script that printed it."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path
