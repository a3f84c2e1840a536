"""Commands that tests run, and commands that must be refused."""

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner, Result

from gnnrl.cli.app import app
from gnnrl.zoo.digits import DIGITS_WEIGHTS

ROOT = Path(__file__).parents[2]


FACTORY = """
import torch
from torch import nn


class Obstructed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3)
        self.second = nn.Conv2d(16, 8, 3)
        self.third = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.special.i0(self.second(x))  # no rule knows it
        return self.head(torch.relu(self.third(x)).mean((2, 3)))
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def written() -> list[Path]:
    """Return files and folders with a dot in their names, without the bytecode that Python keeps of a user's code."""
    return [path for path in sorted(Path().rglob("*.*")) if "__pycache__" not in path.parts]


def refused(code: int, *arguments: str) -> str:
    """Run a command that must be refused with one message and without leaving anything behind; return the message."""
    before = written()
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert not result.stdout
    _, error, message = result.stderr.partition("error: ")
    assert error, "no message"
    assert "Traceback" not in result.stderr
    assert written() == before
    return message


def prune(*arguments: str) -> tuple[str, ...]:
    return ("prune", "--model", "digits-resnet", "--weights", str(DIGITS_WEIGHTS), "--data", "digits", *arguments)


def in_a_process(*code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *code], capture_output=True, text=True, env=environment, check=False)


OWN = ("own.py:Obstructed", "--input-shape", "1,3,16,16")
