"""The streams that people read, and the prints of users' code during a live display."""

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from threading import Lock
from typing import TextIO

from rich.ansi import AnsiDecoder
from rich.console import Console

from gnnrl.errors import GnnrlWarning

WIDEST = 100
_CURSORLESS = ("dumb", "unknown")
"""Values of TERM for terminals that cannot move their cursor."""


def is_plain(stream: TextIO) -> bool:
    """Return whether a stream gets text without control codes: it is not a terminal, or the user asks for none."""
    return not stream.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "") in _CURSORLESS


def console_on(stream: TextIO) -> Console:
    """Return a console that writes to this stream, even if `sys.stdout` and `sys.stderr` are replaced later."""
    console = Console(file=stream, highlight=False, emoji=False, force_terminal=False if is_plain(stream) else None)
    console.width = min(console.width, WIDEST)
    return console


class Aside(io.TextIOBase):
    """A stream whose lines are printed above a live display, each when it is complete.

    If a line is overwritten after a carriage return, as progress bars do, only its last text is printed.

    Args:
        console: the console of the display, with a stream of its own (`console_on`). A console that looks its stream
            up in `sys.stderr` would find this one there, and each frame would ask for another.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open = ""
        self._lock = Lock()
        self._colours = AnsiDecoder()

    def write(self, text: str) -> int:
        """Print the lines that the text completes."""
        with self._lock:
            *lines, self._open = (self._open + text).split("\n")
            self._open = self._open[self._open.rfind("\r", 0, -1) + 1 :]
        for line in lines:
            self._print(line)
        return len(text)

    def end(self) -> None:
        """Print the line that is not complete."""
        if self._open.strip():
            self._print(self._open)
        self._open = ""

    def fileno(self) -> int:
        """Return the number of the display's own stream."""
        return self._console.file.fileno()

    def isatty(self) -> bool:
        """Return whether the display is on a terminal."""
        return self._console.file.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed lets it be assigned
        """Return the encoding of the display's own stream."""
        return self._console.encoding

    def _print(self, line: str) -> None:
        self._console.print(self._colours.decode_line(line.rstrip("\r")), soft_wrap=True)


@contextmanager
def above(console: Console) -> Iterator[None]:
    """Print everything that is written to stdout and stderr inside above the live display of this console."""
    aside = Aside(console)
    with redirect_stdout(aside), redirect_stderr(aside):
        try:
            yield
        finally:
            aside.end()


@contextmanager
def apart() -> Iterator[None]:
    """Send everything that is written to stdout inside to stderr, because stdout is for results."""
    with redirect_stdout(sys.stderr):
        yield


def silence_torch() -> None:
    """Hide torch's own notices, on which users cannot act, in this process and those that it starts."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", r"(?s).*Triggered internally at")  # its C++ code, in the name of any line
        warnings.filterwarnings("ignore", module=r"(gnnrl|torch|torch_geometric)(\.|$)")
        warnings.simplefilter("default", GnnrlWarning)
