"""Streams that people read, plain or not, and text above a live display."""

import io
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

import gnnrl
from gnnrl.cli.streams import WIDEST, Aside, above, apart, console_on, is_plain


def test_streams_are_redirected_in_one_place_that_knows_the_display() -> None:
    """And in worker processes, which show nothing live; what a quantisation prints is dropped, and reaches none."""
    package = Path(gnnrl.__file__).parent
    pattern = re.compile(r"redirect_std\w+\(|os\.dup2|sys\.std(out|err) = ")
    found = {str(path.relative_to(package)) for path in package.rglob("*.py") if pattern.search(path.read_text())}
    dropped = "engines/quantization.py"
    assert found == {"cli/streams.py", "executors/output.py", "executors/ray_cluster.py", dropped}
    assert "redirect_stdout(StringIO())" in (package / dropped).read_text()


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variable", "value", "plain"), [("TERM", "dumb", True), ("NO_COLOR", "1", True), ("TERM", "xterm-256color", False)]
)
def test_a_terminal_is_plain_where_the_user_asks_for_it(
    variable: str, value: str, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)

    assert is_plain(Screen()) == plain
    assert is_plain(io.StringIO())


def test_a_console_keeps_its_stream_and_is_no_wider_than_people_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    first = io.StringIO()
    console = console_on(first)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    console.print("here")

    assert first.getvalue() == "here\n"
    assert console.width == WIDEST


def written(*parts: str) -> str:
    """What is printed above a display of these texts."""
    stream = io.StringIO()
    aside = Aside(Console(file=stream))
    for part in parts:
        aside.write(part)
    aside.end()
    return stream.getvalue()


def test_lines_are_printed_when_they_are_complete_and_the_last_at_the_end() -> None:
    assert written("fir", "st\nsec", "ond", "\n", "open") == "first\nsecond\nopen\n"


def test_of_a_line_that_is_overwritten_the_last_text_is_printed() -> None:
    assert written("\r1 of 3", "\r2 of 3\r3 of 3", "\ndone\n") == "3 of 3\ndone\n"


def test_what_is_written_inside_stands_above_and_the_streams_come_back() -> None:
    stream, before = io.StringIO(), (sys.stdout, sys.stderr)
    with above(Console(file=stream)):
        print("out")
        print("err", file=sys.stderr)

    assert stream.getvalue() == "out\nerr\n"
    assert (sys.stdout, sys.stderr) == before


def test_apart_from_results_text_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with apart():
        print("told")

    assert capsys.readouterr() == ("", "told\n")
