"""A bad input: how it is tried, and what gnnrl has to say. `docs/bad-inputs.md` shows them all."""

import re
import tempfile
import warnings
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from typer.testing import CliRunner

from gnnrl.cli import console
from gnnrl.cli.app import app
from gnnrl.cli.console import plain
from gnnrl.errors import GnnrlError, explained

WORK = ("calibrating", "searching", "fine-tuning")


@dataclass(frozen=True)
class Said:
    """How a try ended: the exit code and what was said, on one line."""

    code: int
    text: str


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        number: which of the 42 kinds of bad inputs it is of.
        given: the input, in Markdown.
        tried: gives it to gnnrl, in an empty folder.
        code: the exit code that is due.
        says: parts of what has to be said: the layer, key or file, and the remedy.
        foreign: a pattern of what others say inside the message, such as PyTorch; the page leaves it out.
    """

    number: int
    given: str
    tried: Callable[[], Said]
    code: int
    says: tuple[str, ...]
    foreign: str | None = None

    def shown(self, said: Said) -> str:
        """What gnnrl said, as the page shows it: without what changes from run to run."""
        text = re.sub(r"[\w/.-]+\.py:\d+", "network.py:12", said.text)
        return text if self.foreign is None else re.sub(self.foreign, "...", text)

    def attempt(self) -> Said:
        """Try it in an empty folder."""
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder, chdir(folder), patch.dict("os.environ", COLUMNS="1000"):
            said = self.tried()
            return Said(said.code, said.text.replace(f"{Path.cwd()}", "."))


def command(*arguments: object, told: str = ".*") -> Said:
    """Run a command; what it refuses it refuses with one message, before any work, and leaves nothing behind.

    Args:
        told: a pattern of what matters of all that a command says which is not refused.
    """
    before = _files()
    with patch.object(console, "PAUSE", 0.0):  # each stage is told at once
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    if result.exit_code == 0:
        found = re.search(told, " ".join(result.output.split()))
        return Said(0, found[0] if found else "")
    assert not result.stdout, result.stdout
    stages, _, message = result.stderr.partition("error: ")
    done = [stage for stage in WORK if f"{stage}\n" in stages]
    assert not done, f"{done} for nothing"
    assert _files() == before, f"left behind: {_files() - before}"
    return Said(result.exit_code, " ".join(plain(message.partition("\nTry '")[0]).split()))


def call(work: Callable[[], Any]) -> Said:
    """Run Python; only documented errors come of it, and the warnings are part of what is said."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            said, code = str(work()), 0
        except GnnrlError as error:
            said, code = explained(error), error.exit_code
    told = [f"warning: {each.message}" for each in warned if each.category.__module__.startswith("gnnrl")]
    return Said(code, " ".join(" ".join([*told, said]).split()))


def _files() -> set[str]:
    return {str(path) for path in Path().rglob("*") if "__pycache__" not in path.parts}
