"""What a study does, narrated: its stages, how far they are, and the best plan so far."""

import math

from gnnrl.cli.console import Narrator
from gnnrl.cli.options import Metric
from gnnrl.cli.runs import Session
from gnnrl.compression.observer import Observer
from gnnrl.scoring.plans import Trial

_STAGES = {
    "trace": ("tracing", ""),
    "latency": ("measuring layers", "measurements"),
    "calibrate": ("calibrating", ""),
    "curves": ("weighing channels", "channels"),
    "weigh": ("weighing groups", "groups"),
    "search": ("searching", "plans"),
    "verify": ("verifying", ""),
    "test": ("testing", ""),
}
"""How stages are shown, and what they count. Fine-tuning shows itself; others are runs of a comparison."""


class Follower(Observer):
    """Narrates, and ends the command between two steps if it was told to end.

    Args:
        plans: how many plans a search may score.
        session: the run, if there is one.
    """

    def __init__(self, narrator: Narrator, metric: Metric, plans: int, session: Session | None) -> None:
        self._narrator, self._metric, self._plans, self._session = narrator, metric, plans, session
        self._best, self._scored = -math.inf, 0

    def begin(self, stage: str) -> None:
        """Name the stage."""
        if self._session is not None:
            self._session.enter(stage)
        if stage == "verify" and 0 < self._scored < self._plans:
            self._narrator.note(f"ended after {self._scored:,} of {self._plans:,} plans: it met only known ones")
        if stage != "finetune":
            self._narrator.begin(*_STAGES.get(stage, (stage, "plans")))
        self._best, self._scored = -math.inf, 0

    def advance(self, done: int, total: int) -> None:
        """Show how far the stage is."""
        self._narrator.advance(done, total)

    def judged(self, trial: Trial) -> None:
        """Show how good the best plan is."""
        self._best, self._scored = max(self._best, trial.score), trial.number + 1
        self._narrator.advance(self._scored, self._plans, f"best {show_score(self._metric, self._best)}")
        if self._session is not None:
            self._session.interruption.check()


def show_score(metric: Metric, score: float) -> str:
    """Write a reward as people know it."""
    return f"top-1 {score:.2%}" if metric == "top1" else f"{metric} {-score:.4f}"
