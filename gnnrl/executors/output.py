"""Pass on what other processes write: only this process knows whether a stage is shown live on the terminal."""

import os
import sys
from multiprocessing import Pipe
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_LAST_WORDS = 1.0
"""Seconds that a process that has ended gets to be read."""


class Output:
    """The output of one process, written line by line to the stderr of this process.

        output = Output()
        pool = ProcessPoolExecutor(1, get_context("spawn"), write_into, (output.pipe,))

    Attributes:
        pipe: for the process, which calls `write_into` with it.
    """

    def __init__(self) -> None:
        ours, self.pipe = Pipe(duplex=False)
        self._reader = Thread(target=_pass_on, args=(ours,), daemon=True)
        self._reader.start()

    def release(self) -> None:
        """Leave the pipe to the process alone, after its start: the output ends when the process ends."""
        self.pipe.close()

    def finish(self) -> None:
        """Wait for the last lines of a process that has ended."""
        self.release()
        self._reader.join(_LAST_WORDS)


def write_into(pipe: "Connection[bytes, bytes]") -> None:
    """Send what this process, its libraries and its own children write to stdout and stderr into a pipe."""
    if os.name == "posix":  # other systems cannot duplicate a pipe; the output stays with the parent
        os.dup2(pipe.fileno(), 2)
    os.dup2(2, 1)
    sys.stdout = sys.stderr


def _pass_on(pipe: "Connection[bytes, bytes]") -> None:
    if os.name != "posix":
        return
    with pipe, open(pipe.fileno(), errors="replace", closefd=False) as lines:
        for line in lines:
            sys.stderr.write(line)
