"""What commands leave on the screen of a terminal of 24 rows and 80 columns."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gnnrl.cli.console import PAUSE
from tests.cli.terminal import Screen, Terminal, surroundings

_ENOUGH, _ENOUGH_EACH_SECOND = 20_000, 5_000
"""Bytes that a command may write."""


def test_the_screen_of_the_tests_moves_its_cursor_as_terminals_do() -> None:
    screen = Screen()
    screen.feed("first\nbar 1\rbar 2\n\x1b[1A\x1b[2K\rover\r\n" + "x" * 81)
    assert screen.lines == ["first", "over", "x" * 80, "x"]


NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    calls = 0

    def __init__(self):
        super().__init__()
        self.read = nn.LSTM(8, 16, proj_size=4, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        Net.calls += 1
        print(f"call {Net.calls}")
        return self.head(self.read(x)[0][:, -1])
"""
"""PyTorch warns of such a layer on processors."""
PRUNE = ("prune", "--model", "digits-resnet", "--pretrained", "--data", "digits", "--threads", "1", "--out", "small")
SEARCH = ("--searcher", "evolution", "--episodes", "30", "--finetune-epochs", "1")
STAGES = [
    "loading PyTorch",
    "loading the network",
    "tracing",
    "reading images",
    "calibrating",
    "weighing channels",
    "weighing groups",
    "searching",
    "verifying",
    "fine-tuning",
    "testing",
    "measuring speed",
]


def gnnrl(*arguments: str, folder: Path, environment: dict[str, str] | None = None) -> Terminal:
    """Begin a command in a terminal."""
    return Terminal("-m", "gnnrl", *arguments, folder=folder, environment=environment)


def stages(terminal: Terminal, mark: str = "✓") -> list[str]:
    """The names of the stages whose lines have this mark, in their order on the screen."""
    return [re.split(" {2,}", line[2:21].rstrip())[0] for line in terminal.lines if line.startswith(mark)]


def test_inspect_leaves_each_line_once(tmp_path: Path) -> None:
    terminal = gnnrl("inspect", "digits-resnet", folder=tmp_path)
    assert terminal.end() == 0
    assert stages(terminal) == STAGES[:3]
    assert terminal.lines[3].startswith("ResidualNetwork: 1,631,872 MACs"), terminal.lines
    assert len(terminal.written) < 100_000
    assert_clean(terminal)


def test_prints_of_the_network_stand_above_the_stages_and_notices_of_torch_nowhere(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    terminal = gnnrl("inspect", "net.py:Net", "--input-shape", "1,5,8", folder=tmp_path)
    assert terminal.end() == 0
    calls = [line for line in terminal.lines if line.startswith("call ")]
    assert calls == [f"call {number}" for number in range(1, len(calls) + 1)]
    assert calls
    assert stages(terminal) == STAGES[:3]
    assert_clean(terminal)


@pytest.mark.slow
def test_demo_leaves_each_line_once(tmp_path: Path) -> None:
    terminal = gnnrl("demo", "--episodes", "3", folder=tmp_path)
    assert terminal.end() == 0
    assert stages(terminal) == STAGES
    assert_clean(terminal)


def test_a_run_that_ctrl_c_ends_is_resumed_and_both_screens_are_clean(tmp_path: Path) -> None:
    stopped = gnnrl(*PRUNE, *SEARCH, folder=tmp_path)
    stopped.wait_for("best top-1")
    stopped.type("\x03")
    assert stopped.end() == 130
    assert stages(stopped) == STAGES[:7]
    assert stages(stopped, "✗") == ["searching"]
    end = [line for line in stopped.lines if line][-3:]
    assert end[0].startswith("✗ searching")
    assert end[1:] == ["error: interrupted by SIGINT", "Resume with: gnnrl resume small"]
    assert "\n".join(stopped.lines).count("gnnrl resume") == 1
    assert_clean(stopped)

    resumed = gnnrl("resume", "small", folder=tmp_path)
    assert resumed.end() == 0
    assert stages(resumed) == STAGES
    assert_clean(resumed)


def test_a_command_without_a_run_says_that_it_was_interrupted(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import time\n\n\ndef make():\n    time.sleep(60)\n")
    terminal = gnnrl("inspect", "net.py:make", "--input-shape", "1,1,8,8", folder=tmp_path)
    terminal.wait_for("loading the network")
    terminal.type("\x03")
    assert terminal.end() in (130, -signal.SIGINT)  # which a shell tells as 130
    assert stages(terminal, "✗") == ["loading the network"]
    assert terminal.lines[2:] == ["error: interrupted; nothing was saved", ""]


def test_ctrl_c_is_not_lost_where_python_can_raise_no_error(tmp_path: Path) -> None:
    """As in the functions that Python calls while modules are imported: it only prints what these raise."""
    (tmp_path / "net.py").write_text(
        "import signal, time\n\n\nclass Module:\n    def __del__(self):\n        signal.raise_signal(signal.SIGINT)\n"
        "        [None for _ in range(10)]\n\n\ndef make():\n    Module()\n    time.sleep(60)\n"
    )
    terminal = gnnrl("inspect", "net.py:make", "--input-shape", "1,1,8,8", folder=tmp_path)
    assert terminal.end() in (130, -signal.SIGINT)
    assert stages(terminal, "✗") == ["loading the network"]
    assert terminal.lines[2:] == ["error: interrupted; nothing was saved", ""]


def test_a_pipe_gets_a_line_in_five_seconds_without_control_codes(tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "gnnrl", *PRUNE, *SEARCH],
        cwd=tmp_path,
        env=surroundings({"TERM": "xterm-256color"}),
        capture_output=True,
        text=True,
        check=True,
    )
    told = done.stderr.splitlines()
    assert told[0] == "loading PyTorch"
    assert 2 <= len(told) <= 1 + (time.monotonic() - began) / PAUSE, told
    assert "\x1b" not in done.stderr + done.stdout
    assert "Saved in small" in done.stdout


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.parametrize("arguments", [("inspect", "digits-resnet"), ("prune", "--foo"), ("prune", "--help"), ()])
def test_terminals_that_take_no_control_codes_get_none(
    arguments: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    terminal = gnnrl(*arguments, folder=tmp_path, environment=environment)
    terminal.end()
    assert len(terminal.lines) > 2
    assert b"\x1b" not in terminal.written


def test_gnnrl_alone_prints_the_overview(tmp_path: Path) -> None:
    alone, asked = (gnnrl(*given, folder=tmp_path) for given in ((), ("--help",)))
    assert (alone.end(), asked.end()) == (0, 0)
    assert alone.lines == asked.lines
    assert "Usage: gnnrl [OPTIONS] COMMAND" in alone.lines[0]


def assert_clean(terminal: Terminal) -> None:
    """Nothing stands twice, nothing is left of a stage that was shown live, and no library has its say."""
    told = [line for line in terminal.lines if line]
    twice = {line for line in told if told.count(line) > 1}
    assert not twice, terminal.lines
    assert not [line for line in told if re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]| left$", line)], terminal.lines
    assert not re.search("Warning|Traceback|torch[./]", "\n".join(told)), terminal.lines
    assert len(terminal.written) < _ENOUGH + _ENOUGH_EACH_SECOND * terminal.seconds
