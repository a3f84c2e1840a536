"""The end of a command after a signal: the current step is finished first, and no finished work is lost.

One Ctrl-C ends the command after the current evaluation or training step; a second one ends it at once. SIGTERM and
SIGHUP (the terminal was closed) do the same, and end the process within ten seconds in any case.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 5.0
LONGEST = 9.0
_AGAIN = 0.05
"""Seconds until a lost Ctrl-C is sent again."""
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def deferred() -> Iterator[None]:
    """Let signals wait until the end, if this is the main thread: what is written inside is written whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: waiting.append(number)) for number in _numbers()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in waiting:
            signal.raise_signal(number)


def interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """Send Ctrl-C again if it met Python where no error can be raised; to be `sys.unraisablehook`.

    While modules are imported and objects released, Python calls functions whose errors it only prints. A command
    would continue as if nobody had pressed Ctrl-C.
    """
    if issubclass(lost.exc_type, KeyboardInterrupt):
        threading.Timer(_AGAIN, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


def _numbers() -> list[int]:
    """Return the numbers of the signals that this system has."""
    return [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """The error of a command that a signal ended, with its work saved; `exit_code` is 128 plus the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class Interruption:
    """The signal that asked the command to end, if any.

    Args:
        tell: function that is called with a sentence for the user.
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
        self.is_patient = False
        self._tell = tell
        self._number: int | None = None
        self._is_over = threading.Event()

    def check(self) -> None:
        """Raise Interrupted here if the command received a signal."""
        if self._number is not None:
            raise Interrupted(self._number)

    @contextmanager
    def handled(self) -> Iterator["Interruption"]:
        """Handle the signals inside, if this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._handle) for number in _numbers()}
        try:
            yield self
        finally:
            self._is_over.set()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_first = self._number is None
        self._number = self._number or number
        if not is_first or not self.is_patient:
            raise Interrupted(self._number)
        self._tell("ending after this step; Ctrl-C again ends at once")
        if number != signal.SIGINT:
            threading.Thread(target=_insist, args=(number, self._is_over), daemon=True).start()


def _insist(number: int, is_over: threading.Event) -> None:
    """Interrupt a process that does not end by itself."""
    if not is_over.wait(PATIENCE):
        os.kill(os.getpid(), number)
        if not is_over.wait(LONGEST - PATIENCE):
            os._exit(128 + number)
