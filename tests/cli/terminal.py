"""A pseudo-terminal of 24 rows and 80 columns for commands, and what they leave on its screen."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

ROWS, COLUMNS = 24, 80
PATIENCE = 240.0
"""Seconds after which a command hangs."""
_STEERING = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES", "GITHUB_ACTIONS")
_LEAD = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""Make the terminal the one that Ctrl-C is typed at, then become the command."""
_PART = re.compile(r"\x1b\[(?P<numbers>[0-9;?]*)(?P<code>[A-Za-z])|(?P<other>.)", re.DOTALL)


class Screen:
    """The part of a terminal that a person sees, and the lines that have scrolled away: what cursor movements leave."""

    def __init__(self) -> None:
        self._rows = [""]
        self._row = self._column = self._top = 0

    @property
    def lines(self) -> list[str]:
        """All lines that can be read, also by scrolling back."""
        return [row.rstrip() for row in self._rows]

    def feed(self, text: str) -> None:
        """Do what a terminal does with these characters and control codes."""
        for part in _PART.finditer(text):
            if part["code"]:
                self._control(part["code"], part["numbers"])
            else:
                self._character(part["other"])

    def _control(self, code: str, numbers: str) -> None:
        number = int(numbers) if numbers.isdigit() else 1
        if code == "A":
            self._row = max(self._row - number, self._top)
        elif code == "K" and numbers == "2":
            self._rows[self._row] = ""
        elif code not in "mhl":  # colours, and the cursor's look
            raise AssertionError(f"the test's terminal does not know the control code {code!r} ({numbers!r})")

    def _character(self, character: str) -> None:
        if character == "\n":
            self._down()
        elif character == "\r":
            self._column = 0
        elif character >= " ":
            if self._column == COLUMNS:
                self._column = 0
                self._down()
            row = self._rows[self._row].ljust(self._column)
            self._rows[self._row] = row[: self._column] + character + row[self._column + 1 :]
            self._column += 1
        else:
            raise AssertionError(f"the test's terminal does not know the character {character!r}")

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append("")
        self._top = max(self._top, self._row - ROWS + 1)


class Terminal:
    """A command that runs in a terminal.

    Attributes:
        written: all bytes that it wrote so far, control codes among them.
        seconds: how long it took, once it has ended.
    """

    seconds = 0.0

    def __init__(self, *command: str, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.written, self._began = b"", time.monotonic()
        self._keyboard, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LEAD, sys.executable, *command],
            cwd=folder,
            env=surroundings({"TERM": "xterm-256color", **(environment or {})}),
            start_new_session=True,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    @property
    def lines(self) -> list[str]:
        """All lines that a person can read, also by scrolling back."""
        screen = Screen()
        screen.feed(self.written.decode())
        return screen.lines

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._keyboard, keys.encode())

    def wait_for(self, text: str) -> None:
        """Read until this was written."""
        while text.encode() not in self.written:
            assert self._read(), f"{text!r} was never written, but\n" + "\n".join(self.lines)

    def end(self) -> int:
        """Read until the command has ended; return its status."""
        while self._read():
            pass
        os.close(self._keyboard)
        self.seconds = time.monotonic() - self._began
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        """Read what there is; return whether there may be more."""
        if not select.select([self._keyboard], [], [], PATIENCE)[0]:
            self._process.kill()
            raise AssertionError("the command hangs after\n" + "\n".join(self.lines))
        try:
            part = os.read(self._keyboard, 65536)
        except OSError:  # so Linux says that nobody writes any more
            return False
        self.written += part
        return bool(part)


def surroundings(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what changes a terminal, and with more."""
    kept = {name: value for name, value in os.environ.items() if name not in _STEERING}
    return {**kept, "PYTHONPATH": os.getcwd(), **more}
