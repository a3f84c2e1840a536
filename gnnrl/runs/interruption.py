"""How a command ends when it is asked to: what is in hand is finished first, and nothing is lost in any case.

Ctrl-C once ends after the evaluation or training step in hand, twice at once. SIGTERM and SIGHUP (the terminal was
closed) do the same, and end the process within ten seconds whatever it does.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 5.0
LONGEST = 9.0
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupted(KeyboardInterrupt):
    """The command was asked to end, and has saved what it had; `exit_code` is 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class Interruption:
    """Whether the command was asked to end.

    Args:
        tell: called with a sentence for the user.
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
        self.is_patient = False
        self._tell = tell
        self._number: int | None = None
        self._is_over = threading.Event()

    def check(self) -> None:
        """End here if a signal came.

        Raises:
            Interrupted: one came.
        """
        if self._number is not None:
            raise Interrupted(self._number)

    @contextmanager
    def handled(self) -> Iterator["Interruption"]:
        """Handle the signals inside, where that is possible: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        before = {number: signal.signal(number, self._handle) for number in numbers}
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
    """Interrupt what does not come to an end of its own."""
    if not is_over.wait(PATIENCE):
        os.kill(os.getpid(), number)
        if not is_over.wait(LONGEST - PATIENCE):
            os._exit(128 + number)
