"""What commands leave on the screen of a terminal of 24 rows and 80 columns."""

import re
from pathlib import Path

from tests.cli.terminal import Screen, Terminal

_ENOUGH = 100_000
"""Bytes that a command of some seconds may write."""


def test_the_screen_of_the_tests_moves_its_cursor_as_terminals_do() -> None:
    screen = Screen()
    screen.feed("first\nbar 1\rbar 2\n\x1b[1A\x1b[2K\rover\r\n" + "x" * 81)
    assert screen.lines == ["first", "over", "x" * 80, "x"]


def test_inspect_leaves_each_line_once(tmp_path: Path) -> None:
    terminal = Terminal("-m", "gnnrl", "inspect", "digits-resnet", folder=tmp_path)
    assert terminal.end() == 0
    stages = [re.sub(r" +\d.*", "", line) for line in terminal.lines if line.startswith("✓")]
    assert stages == ["✓ loading PyTorch", "✓ loading the network digits-resnet,", "✓ tracing"]
    assert terminal.lines[3].startswith("ResidualNetwork: 1,631,872 MACs"), terminal.lines
    assert_clean(terminal)


def test_gnnrl_alone_prints_the_overview(tmp_path: Path) -> None:
    alone, asked = (Terminal("-m", "gnnrl", *given, folder=tmp_path) for given in ((), ("--help",)))
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
    assert len(terminal.written) < _ENOUGH
