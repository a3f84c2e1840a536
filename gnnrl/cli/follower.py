"""The progress of a study for a narrator: its stages, and the best plan so far."""

import math

from gnnrl.cli.console import Narrator
from gnnrl.cli.runs import Session
from gnnrl.compression.observer import Observer
from gnnrl.scoring.plans import Trial

_STAGES = {
    "trace": ("tracing", ""),
    "latency": ("measuring layers", "measurements"),
    "calibrate": ("calibrating", "images"),
    "curves": ("weighing channels", "channels"),
    "weigh": ("weighing groups", "groups"),
    "search": ("searching", "plans"),
    "verify": ("verifying", ""),
    "test": ("testing", ""),
}
"""Names of stages for people, and what they count. Fine-tuning reports itself; all others are runs of a comparison."""


class Follower(Observer):
    """Reports to a narrator, and ends an interrupted command between two steps.

    Args:
        plans: number of plans that a search may score.
        session: the run, if there is one.
    """

    def __init__(self, narrator: Narrator, metric: str, plans: int, session: Session | None) -> None:
        self._narrator, self._metric, self._plans, self._session = narrator, metric, plans, session
        self._best, self._scored = -math.inf, 0

    def begin(self, stage: str) -> None:
        """Name the stage."""
        if self._session is not None:
            self._session.enter(stage)
        if stage == "verify" and 0 < self._scored < self._plans:
            self._narrator.note(f"ended after {self._scored:,} of {self._plans:,} plans: it proposes only known ones")
        if stage != "finetune":
            self._narrator.begin(*_STAGES.get(stage, (stage, "plans")))
        self._best, self._scored = -math.inf, 0

    def advance(self, done: int, total: int) -> None:
        """Show the progress of the stage."""
        self._narrator.advance(done, total)

    def judged(self, trial: Trial) -> None:
        """Show the best score."""
        self._best, self._scored = max(self._best, trial.score), trial.number + 1
        self._narrator.advance(self._scored, self._plans, f"best {show_score(self._metric, self._best)}")
        if self._session is not None:
            self._session.interruption.check()


def show_score(metric: str, score: float) -> str:
    """Write a reward for people: as a percentage, or with its sign removed."""
    return f"top-1 {score:.2%}" if metric == "top1" else f"{metric} {-score:.4f}"
