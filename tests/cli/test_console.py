"""How stages are told, and where the text of users' code goes meanwhile."""

import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from gnnrl.cli.console import PAUSE, Lines
from gnnrl.cli.streams import console_on
from tests.cli.terminal import Terminal, surroundings

_STAGES = """
import io, signal, sys, threading, time
from contextlib import redirect_stderr
from gnnrl.cli.console import narration

with narration(quiet=True) as narrator:
    narrator.begin("searching")
    narrator.advance(30, 100, "best loss 0.1")
"""


def script(rest: str) -> str:
    """A program that tells of a search, with some more lines."""
    return _STAGES + "\n".join(f"    {line}" for line in rest.splitlines())


def shown(tmp_path: Path, rest: str, environment: dict[str, str] | None = None) -> Terminal:
    """Run such a program in a terminal."""
    terminal = Terminal("-c", script(rest), folder=tmp_path, environment=environment)
    terminal.end()
    return terminal


def test_a_terminal_sees_a_bar_the_time_left_and_ticks(tmp_path: Path) -> None:
    terminal = shown(
        tmp_path, "narrator.warn('careful')\ntime.sleep(0.5)\nnarrator.begin('verifying')\nnarrator.note('done')"
    )
    assert " left" in terminal.written.decode()
    warning, searching, verifying, *rest = terminal.lines
    assert warning == "warning: careful"
    assert searching.startswith("✓ searching           best loss 0.1")
    assert verifying.startswith("✓ verifying           done")
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


def test_what_another_process_writes_stands_above_the_stage_once(tmp_path: Path) -> None:
    """Python's prints, the output of its own children, and an end without an end of line."""
    terminal = shown(
        tmp_path,
        "import os\nfrom concurrent.futures import ProcessPoolExecutor\nfrom multiprocessing import get_context\n"
        "from gnnrl.executors.output import Output, write_into\noutput = Output()\n"
        "with ProcessPoolExecutor(1, get_context('spawn'), write_into, (output.pipe,)) as pool:\n"
        "    for number in range(3):\n        pool.submit(print, 'plan', number, flush=True).result()\n"
        "        time.sleep(0.3)\n"
        "    pool.submit(os.system, 'echo compiled').result()\n    output.release()\n"
        "    pool.submit(os.write, 1, b'end').result()\n"
        "output.finish()\nprint()",
    )
    assert terminal.lines[:5] == ["plan 0", "plan 1", "plan 2", "compiled", "end"]
    assert terminal.lines[5].startswith("✓ searching")
    assert terminal.lines[6:] == [""]


def test_a_stage_that_fails_is_crossed_out_once(tmp_path: Path) -> None:
    terminal = shown(tmp_path, "time.sleep(0.3)\nsys.exit('no more')")
    assert terminal.lines[0].startswith("✗ searching           best loss 0.1")
    assert terminal.lines[1:] == ["no more", ""]


_STRIKE = """
write, struck = sys.__stderr__.write, []
def strike(text):
    write(text)
    sys.__stderr__.flush()
    if threading.current_thread() is threading.main_thread() and not struck:
        struck.append(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
sys.__stderr__.write = strike
narrator.begin("verifying")
time.sleep(60)
"""


def test_ctrl_c_between_two_stages_loses_none(tmp_path: Path) -> None:
    """It is typed at the worst moment: one stage is no longer shown live, and its line is not printed yet."""
    terminal = shown(tmp_path, _STRIKE)
    searching, verifying, *rest = terminal.lines
    assert searching.startswith("✓ searching")
    assert verifying.startswith("✗ verifying")
    assert rest[0].startswith("Traceback")
    assert rest[-2:] == ["KeyboardInterrupt", ""]


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_terminal_that_takes_no_control_codes_gets_none(tmp_path: Path, environment: dict[str, str]) -> None:
    terminal = shown(
        tmp_path, "narrator.warn('careful')\ntime.sleep(1.5)\nprint('mine')\nsys.exit('no more')", environment
    )
    assert b"\x1b" not in terminal.written
    assert terminal.lines == ["searching", "warning: careful", "mine", "no more", ""]


def test_a_pipe_gets_no_control_codes_and_stdout_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script("print('mine')").replace("quiet=True", "quiet=False")],
        env=surroundings({"FORCE_COLOR": "1", "PYTHONPATH": os.getcwd()}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "searching\nmine\n")


class Clock:
    """Seconds that a test lets pass."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_every_five_seconds_with_all_that_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(console_on(sys.stderr), clock)
    lines.begin("loading")
    clock.now = 1
    lines.note("3 layers")
    lines.note("[all] dense")
    lines.begin("searching", "plans")
    for number in range(1, 101):
        clock.now = 1 + number / 10
        lines.advance(number, 1000, "best 0.5")
    lines.begin("verifying")
    clock.now = 14
    lines.look()
    clock.now = 15
    lines.look()
    clock.now = 30
    lines.look()
    assert capsys.readouterr().err.splitlines() == [
        "loading",
        "loading: 3 layers, [all] dense; searching: 40 of 1,000 plans, best 0.5",
        "searching: 90 of 1,000 plans, best 0.5",
        "searching: 100 of 1,000 plans, best 0.5; verifying",
    ]


def test_warnings_do_not_wait(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(console_on(sys.stderr), Clock())
    lines.begin("searching")
    lines.warn("look [here]")
    lines.warn("and there")
    assert capsys.readouterr().err.splitlines() == ["searching", "warning: look [here]", "warning: and there"]


def test_many_short_stages_do_not_flood(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(console_on(sys.stderr), count().__next__)
    for number in range(100):
        lines.begin(f"stage {number}")
    told = capsys.readouterr().err
    assert len(told.splitlines()) <= 1 + 200 / PAUSE
    assert all(f"stage {number}" in told for number in range(95))
