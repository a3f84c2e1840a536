"""Where commands print: the stages on stderr, live on a terminal and otherwise line by line, and results on stdout.

With `--json` stdout is one object and nothing else; people see the stages on a terminal alone.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import Event, RLock, Thread
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text

from gnnrl.cli.streams import above, apart, console_on, is_plain
from gnnrl.cli.torchrun import helps
from gnnrl.report.names import duration
from gnnrl.runs.interruption import deferred

PAUSE = 5.0
"""Seconds between lines of progress without a terminal."""
_STAGE, _BAR = 19, 20
"""Columns for the name of a stage, and for its bar."""
_SHORTEST = 0.05
"""Seconds of the shortest stage whose time is shown."""
_MARGIN = 4
"""Columns at the right of a live line for the `^C` of a terminal, which would break the line and leave it behind."""
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])|\x9b[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def stdout() -> Console:
    """Return the console for results; it has 80 columns without a terminal."""
    return console_on(sys.stdout)


def say(text: str) -> None:
    """Print a result in words on stdout; on a terminal, lines break between words."""
    console = stdout()
    console.print(plain(text), soft_wrap=not console.is_terminal, markup=False)


def print_error(message: str) -> None:
    """Print a message on stderr."""
    console = console_on(sys.stderr)
    console.print(Text.assemble(("error: ", "bold red"), plain(message)), soft_wrap=not console.is_terminal)


def plain(text: str) -> str:
    """Remove escapes, control characters and changes of direction: other people's text must not steer a terminal."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))


class Narrator:
    """Reports what a command does. This one is silent; the others override its methods."""

    def begin(self, stage: str, unit: str = "") -> None:
        """End the previous stage, and begin one whose progress is counted in this unit."""

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Report the progress of the stage."""

    def note(self, text: str) -> None:
        """Report a finding of the stage."""

    def warn(self, text: str) -> None:
        """Report something that the user should look at."""


@dataclass
class _Stage:
    """The text of a stage in a line."""

    name: str
    unit: str
    reached: str = ""
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        found = ", ".join(filter(None, [self.reached, *self.notes]))
        return f"{self.name}: {found}" if found else self.name


class Lines(Narrator):
    """Reports on a stream that is not a terminal: at most one line in five seconds, with everything new."""

    def __init__(self, console: Console, clock: Callable[[], float] = perf_counter) -> None:
        self._console = console
        self._clock = clock
        self._lock = RLock()  # a signal may come, and warn, while a line is printed
        self._stages: list[_Stage] = []
        self._is_new = False
        self._next = clock()

    def begin(self, stage: str, unit: str = "") -> None:
        """Name the stage."""
        with self._changed():
            self._stages = [*(self._stages if self._is_new else ()), _Stage(stage, unit)]

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Add the progress."""
        with self._changed():
            for stage in self._stages[-1:]:
                unit = stage.unit and f" {stage.unit}"
                stage.reached = f"{done:,} of {total:,}{unit}{note and f', {note}'}"

    def note(self, text: str) -> None:
        """Add the finding."""
        with self._changed():
            for stage in self._stages[-1:]:
                stage.notes.append(text)

    def warn(self, text: str) -> None:
        """Print a warning at once."""
        self._print(f"warning: {text}")

    def look(self) -> None:
        """Print what is new, if the last line is old enough; to be called now and then."""
        with self._lock:
            if self._is_new and self._stages and self._clock() >= self._next:
                self._print("; ".join(map(str, self._stages)))
                del self._stages[:-1], self._stages[-1].notes[:]
                self._is_new, self._next = False, self._clock() + PAUSE

    @contextmanager
    def _changed(self) -> Iterator[None]:
        with self._lock:
            yield
            self._is_new = True
            self.look()

    def _print(self, text: str) -> None:
        self._console.print(plain(text), soft_wrap=True, markup=False)


@contextmanager
def _repeated(action: Callable[[], None]) -> Iterator[None]:
    """Call a function each second inside."""
    ended = Event()

    def repeat() -> None:
        while not ended.wait(1.0):
            action()

    thread = Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Live(Narrator):
    """Reports on a terminal: the current stage with a bar and the time left, below the finished stages.

    Ctrl-C waits while it draws: a line that is half drawn would stay on the screen, or be drawn twice.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @deferred()
    def begin(self, stage: str, unit: str = "") -> None:
        """Mark the previous stage as finished, and show this one."""
        self.end()
        self._progress.add_task(stage, total=None, note="", left="")

    @deferred()
    def advance(self, done: int, total: int, note: str = "") -> None:
        """Move the bar."""
        for task in self._progress.tasks:  # at most one
            left = (task.elapsed or 0.0) / max(done, 1e-9) * (total - done)
            told = f"{duration(left)} left" if done >= 1 else ""
            self._progress.update(task.id, completed=done, total=total, note=note, left=told)

    @deferred()
    def note(self, text: str) -> None:
        """Write next to the stage."""
        for task in self._progress.tasks:
            self._progress.update(task.id, note=plain(text))

    @deferred()
    def warn(self, text: str) -> None:
        """Print above the stages."""
        self._progress.console.print(Text.assemble(("warning: ", "yellow"), plain(text)))

    @deferred()
    def end(self, *, failed: bool = False) -> None:
        """Leave a line for the current stage on the screen, marked as finished or failed."""
        for task in self._progress.tasks:
            self._progress.remove_task(task.id)
            self._progress.refresh()  # otherwise the display, which follows what is printed, still shows the stage
            seconds = task.elapsed or 0.0
            mark, took = Text("✗", "red") if failed else Text("✓", "green"), Text("", "dim")
            if seconds >= _SHORTEST:
                took.append(duration(seconds))
            note = Text(task.fields["note"], no_wrap=True, overflow="ellipsis")
            line = Table.grid("", Column(width=_STAGE), Column(ratio=1), "", padding=(0, 1, 0, 0), expand=True)
            line.add_row(mark, task.description, note, took)
            self._progress.console.print(line)


@contextmanager
def narration(*, quiet: bool) -> Iterator[Narrator]:
    """Choose the narrator, and clean the screen up at the end, also after an error; a process that helps is silent.

    Inside, the prints of users' code go to stderr, because stdout is for the result.

    Args:
        quiet: be silent without a terminal.
    """
    console = console_on(sys.stderr)
    if helps() or is_plain(sys.stderr):
        is_silent, lines = helps() or (quiet and not sys.stderr.isatty()), Lines(console)
        with apart(), nullcontext() if is_silent else _repeated(lines.look):
            yield Narrator() if is_silent else lines
        return
    console.width -= _MARGIN
    note = TextColumn("{task.fields[note]}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    left = TextColumn("{task.fields[left]}", style="cyan")
    columns = (SpinnerColumn(), TextColumn(f"{{task.description:{_STAGE}}}"), BarColumn(_BAR), note, left)
    display = Progress(
        *columns, console=console, expand=True, transient=True, redirect_stdout=False, redirect_stderr=False
    )
    with display, above(console):
        live = Live(display)
        try:
            yield live
        except BaseException:
            live.end(failed=True)
            raise
        live.end()
