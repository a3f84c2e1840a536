"""Progress of a call from Python: a line for each stage, where somebody watches."""

import sys
from typing import TYPE_CHECKING

from gnnrl.compression.observer import Observer
from gnnrl.scoring.plans import Trial

if TYPE_CHECKING:
    from rich.progress import Progress


def progressing(observer: Observer, progress: bool | None) -> Observer:
    """Return the observer, with lines of progress if they are asked for.

    Args:
        progress: None shows them on a terminal and in a notebook.
    """
    is_watched = sys.stderr.isatty() or _in_notebook()
    return Bars(observer) if progress or (progress is None and is_watched) else observer


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class Bars(Observer):
    """Shows each stage as a line on stderr, and passes everything on."""

    def __init__(self, observer: Observer) -> None:
        self._observer, self._plans = observer, 0
        self._bar: Progress | None = None

    def begin(self, stage: str) -> None:
        """Show the stage."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[told]}")
        width = 80 if _in_notebook() else None
        console = Console(file=sys.stderr, force_jupyter=False, force_terminal=_in_notebook() or None, width=width)
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, refresh_per_second=4)
        self._bar.add_task(stage, total=None, told="")
        self._bar.start()
        self._observer.begin(stage)

    def advance(self, done: int, total: int) -> None:
        """Show how many steps are done."""
        self._show(done, total, "")
        self._observer.advance(done, total)

    def expect(self, plans: int) -> None:
        """Remember the number of plans."""
        self._plans = plans
        self._observer.expect(plans)

    def judged(self, trial: Trial) -> None:
        """Show how many plans are scored."""
        self._show(trial.number + 1, self._plans, " plans")
        self._observer.judged(trial)

    def end(self) -> None:
        """Leave the line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._observer.end()

    def _show(self, done: int, total: int, unit: str) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total, told=f"{done:,} of {total:,}{unit}")
