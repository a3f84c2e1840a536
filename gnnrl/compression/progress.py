"""Progress of a call from Python: a line for each stage, where somebody watches."""

import sys
from typing import TYPE_CHECKING

from gnnrl.compression.observer import Observer
from gnnrl.scoring.plans import Trial

if TYPE_CHECKING:
    from rich.progress import Progress


_UNITS = {"calibrate": " images", "search": " plans", "finetune": " epochs"}


def is_watched() -> bool:
    """Return whether somebody sees stderr: on a terminal, or in a notebook."""
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class Bars(Observer):
    """Shows each stage as a line on stderr."""

    def __init__(self) -> None:
        self._plans, self._unit = 0, ""
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
        self._unit = _UNITS.get(stage, "")

    def advance(self, done: int, total: int) -> None:
        """Show how many steps are done."""
        if self._bar is not None:
            told = f"{done:,} of {total:,}{self._unit}"
            self._bar.update(self._bar.task_ids[0], completed=done, total=total, told=told)

    def expect(self, plans: int) -> None:
        """Remember the number of plans."""
        self._plans = plans

    def judged(self, trial: Trial) -> None:
        """Show how many plans are scored."""
        self.advance(trial.number + 1, self._plans)

    def end(self) -> None:
        """Leave the line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
