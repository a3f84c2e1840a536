"""How stages are told, and where the text of users' code goes meanwhile."""

from pathlib import Path

from tests.cli.terminal import Terminal

_STAGES = """
import io, sys, time
from contextlib import redirect_stderr
from gnnrl.cli.console import narration

with narration(quiet=True) as narrator:
    narrator.begin("searching")
    narrator.advance(30, 100, "best loss 0.1")
"""


def shown(tmp_path: Path, rest: str) -> Terminal:
    """Tell of a search in a terminal, with some more lines."""
    terminal = Terminal("-c", _STAGES + "\n".join(f"    {line}" for line in rest.splitlines()), folder=tmp_path)
    terminal.end()
    return terminal


def test_a_terminal_sees_a_bar_the_time_left_and_ticks(tmp_path: Path) -> None:
    terminal = shown(
        tmp_path, "narrator.warn('careful')\ntime.sleep(0.5)\nnarrator.begin('verifying')\nnarrator.note('done')"
    )
    assert " left" in terminal.written.decode()
    warning, searching, verifying, *rest = terminal.lines
    assert warning == "warning: careful"
    assert searching.startswith("✓ searching best loss 0.1")
    assert verifying.startswith("✓ verifying done")
    assert rest == [""]


def test_what_users_code_prints_stands_above_the_stage_once(tmp_path: Path) -> None:
    terminal = shown(
        tmp_path,
        "print('first [bold]', flush=True)\nprint('sec', end='', flush=True)\ntime.sleep(0.3)\nprint('ond')\n"
        "print('third', file=sys.stderr)\nprint('y' * 100)\nprint('open', end='')",
    )
    assert terminal.lines[:5] == ["first [bold]", "second", "third", "y" * 80, "y" * 20]
    assert terminal.lines[5].startswith("✓ searching")
    assert terminal.lines[6:] == ["open", ""]


def test_of_a_bar_that_users_code_draws_the_end_is_left(tmp_path: Path) -> None:
    terminal = shown(
        tmp_path,
        "for part in range(10):\n    print(f'\\rimage {part}', end='', file=sys.stderr, flush=True)\n"
        "print(file=sys.stderr)",
    )
    assert terminal.lines[0] == "image 9"
    assert terminal.lines[1].startswith("✓ searching")


def test_a_stream_that_users_code_puts_over_the_display_does_not_multiply_it(tmp_path: Path) -> None:
    """A redirected stream that the display wrote to made each frame ask for another."""
    terminal = shown(
        tmp_path,
        "class Mine(io.TextIOBase):\n    write = sys.stderr.write\n"
        "with redirect_stderr(Mine()):\n    time.sleep(1)\n    print('mine', file=sys.stderr)",
    )
    assert terminal.lines[0] == "mine"
    assert terminal.lines[1].startswith("✓ searching")
    assert len(terminal.written) < 5_000


def test_a_stage_that_fails_is_crossed_out_once(tmp_path: Path) -> None:
    terminal = shown(tmp_path, "time.sleep(0.3)\nsys.exit('no more')")
    assert terminal.lines[0].startswith("✗ searching best loss 0.1")
    assert terminal.lines[1:] == ["no more", ""]
