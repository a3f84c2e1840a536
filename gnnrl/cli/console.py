"""Where commands talk: narration of the stages on stderr, live on a terminal, line by line elsewhere, or not at all.

With `--json` stdout is one object and nothing else; the narration stays where a person can see it: on a terminal.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import Event, RLock, Thread
from time import perf_counter
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from gnnrl.cli.streams import above, apart, console_on, is_plain
from gnnrl.cli.torchrun import helps

PAUSE = 5.0
"""Seconds between lines of progress where there is no terminal."""
_STAGE, _BAR = 19, 20
"""Columns for the name of a stage, and for its bar."""
_SHORTEST = 0.05
"""Seconds of a stage that are worth telling."""
_MARGIN = 4
"""Columns at the right of a live line for the `^C` of a terminal, which would break the line and leave it behind."""
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])|\x9b[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def stdout() -> Console:
    """The console for results; 80 columns where it is not a terminal."""
    return console_on(sys.stdout)


def say(text: str) -> None:
    """Print a result in words on stdout: on a terminal its lines break between words."""
    console = stdout()
    console.print(plain(text), soft_wrap=not console.is_terminal, markup=False)


def print_error(message: str) -> None:
    """Print one message on stderr, for people."""
    console = console_on(sys.stderr)
    console.print(Text.assemble(("error: ", "bold red"), plain(message)), soft_wrap=not console.is_terminal)


def plain(text: str) -> str:
    """Text without escapes, control characters and turns of direction: what others write must not steer a terminal."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))


class Narrator(Protocol):
    """Tells what a command is doing."""

    def begin(self, stage: str, unit: str = "") -> None:
        """End the stage before, and begin one, in which such units are counted."""

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Say how far the stage is."""

    def note(self, text: str) -> None:
        """Say what the stage found."""

    def warn(self, text: str) -> None:
        """Say what the user should look at."""


class Silent:
    """Tells nothing."""

    def begin(self, stage: str, unit: str = "") -> None:
        """Do not tell."""

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Do not tell."""

    def note(self, text: str) -> None:
        """Do not tell."""

    def warn(self, text: str) -> None:
        """Do not tell."""


@dataclass
class _Stage:
    """What a line says of a stage."""

    name: str
    unit: str
    reached: str = ""
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        found = ", ".join(filter(None, [self.reached, *self.notes]))
        return f"{self.name}: {found}" if found else self.name


class Lines:
    """Tells on a stream that is not a terminal: at most one line in five seconds, with all that is new."""

    def __init__(self, console: Console, clock: Callable[[], float] = perf_counter) -> None:
        self._console = console
        self._clock = clock
        self._lock = RLock()  # a signal may come, and warn, while a line is printed
        self._stages: list[_Stage] = []
        self._is_new = False
        self._next = clock()

    def begin(self, stage: str, unit: str = "") -> None:
        """Name a stage."""
        with self._lock:
            self._stages = [*self._stages, _Stage(stage, unit)] if self._is_new else [_Stage(stage, unit)]
            self._tell()

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Say how far the stage is."""
        with self._lock:
            for stage in self._stages[-1:]:
                unit = stage.unit and f" {stage.unit}"
                stage.reached = f"{done:,} of {total:,}{unit}{note and f', {note}'}"
            self._tell()

    def note(self, text: str) -> None:
        """Add what was found."""
        with self._lock:
            for stage in self._stages[-1:]:
                stage.notes.append(text)
            self._tell()

    def warn(self, text: str) -> None:
        """Print a warning at once."""
        self._print(f"warning: {text}")

    def look(self) -> None:
        """Print what is new, if the last line is old enough: call this now and then."""
        with self._lock:
            if self._is_new and self._stages and self._clock() >= self._next:
                self._print("; ".join(map(str, self._stages)))
                del self._stages[:-1], self._stages[-1].notes[:]
                self._is_new, self._next = False, self._clock() + PAUSE

    def _tell(self) -> None:
        self._is_new = True
        self.look()

    def _print(self, text: str) -> None:
        self._console.print(plain(text), soft_wrap=True, markup=False)


@contextmanager
def _repeated(action: Callable[[], None]) -> Iterator[None]:
    """Do something each second inside, also during work that tells nothing."""
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


class Live:
    """Tells on a terminal: the stage in hand with a bar and the time left, above it a line for each finished one."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, stage: str, unit: str = "") -> None:
        """Tick the stage before off, and show this one; a bar needs no unit."""
        self.end()
        self._progress.add_task(stage, total=None, note="", failed=False)

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Move the bar."""
        short = min(done, total - 1e-3)  # its end is left to `begin`, which ticks the stage off
        self._update(completed=short, total=total, note=note)

    def note(self, text: str) -> None:
        """Write beside the stage."""
        self._update(note=plain(text))

    def warn(self, text: str) -> None:
        """Print above the stages."""
        self._progress.console.print(Text.assemble(("warning: ", "yellow"), plain(text)))

    def end(self, *, failed: bool = False) -> None:
        """Leave the line of the stage in hand on the screen for good, ticked off or crossed out."""
        if not self._progress.task_ids:
            return
        self._update(total=1, completed=1, failed=failed)
        line = self._progress.get_renderable()
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._progress.refresh()  # else the display, which follows what is printed, still shows the stage
        self._progress.console.print(line)

    def _update(self, **fields: Any) -> None:
        """Change the stage in hand: the display has no other."""
        for task in self._progress.task_ids:
            self._progress.update(task, **fields)


@contextmanager
def narration(*, quiet: bool) -> Iterator[Narrator]:
    """Choose how to tell, and clean the screen up at the end, also after an error; who only helps tells nothing.

    Inside, what users' code prints goes to stderr: stdout is for the result.

    Args:
        quiet: tell nothing where nobody watches, that is without a terminal.
    """
    console = console_on(sys.stderr)
    if helps() or is_plain(sys.stderr):
        is_silent, lines = helps() or (quiet and not sys.stderr.isatty()), Lines(console)
        with apart(), nullcontext() if is_silent else _repeated(lines.look):
            yield Silent() if is_silent else lines
        return
    console.width -= _MARGIN
    columns = (_Mark(), TextColumn(f"{{task.description:{_STAGE}}}"), _State(table_column=Column(ratio=1)), _Clock())
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


class _Mark(SpinnerColumn):
    """A spinner while a stage lasts, then whether it came to its end."""

    def render(self, task: Task) -> RenderableType:
        """Draw one character."""
        if not task.finished:
            return super().render(task)
        return Text("✗", "red") if task.fields["failed"] else Text("✓", "green")


class _State(ProgressColumn):
    """How far a stage is, as a bar, while its end is in sight; and what is known of it."""

    def render(self, task: Task) -> Table:
        """Draw bar and note side by side."""
        row: list[RenderableType] = [Text(task.fields["note"], no_wrap=True, overflow="ellipsis")]
        if not task.finished and task.total is not None:
            row.insert(0, ProgressBar(total=task.total, completed=task.completed, width=_BAR))
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row(*row)
        return grid


class _Clock(ProgressColumn):
    """Time left of a stage, or the time that it took."""

    max_refresh = 0.2

    def render(self, task: Task) -> Text:
        """Write seconds, or minutes and seconds."""
        if task.finished or not task.total:
            seconds = task.finished_time or task.elapsed or 0.0
            return Text(_duration(seconds) if seconds >= _SHORTEST else "", style="dim")
        left = (task.elapsed or 0.0) / max(task.completed, 1e-9) * (task.total - task.completed)
        return Text(f"{_duration(left)} left" if task.completed >= 1 else "", style="cyan")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02} min"


class Stopwatch:
    """Seconds since the command began."""

    def __init__(self) -> None:
        self._start = perf_counter()

    def seconds(self) -> float:
        """Read it."""
        return perf_counter() - self._start
