"""Plans judged here, one after another."""

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from statistics import median
from threading import Timer

from gnnrl.errors import ConfigError, EvaluationError, GnnrlWarning
from gnnrl.scoring.plans import Scored, Scorer, Widths

LEAST, FIRST = 60.0, 600.0
"""Seconds before an evaluation is called late: at least, and while fewer than three are known to compare with."""
_FEW = 3


def _warn(message: str) -> None:
    warnings.warn(message, GnnrlWarning, stacklevel=2)


class SerialExecutor(AbstractContextManager["SerialExecutor"]):
    """Judges in this process, each plan when its answer is wanted.

    An evaluation that hangs in this process cannot be ended, but it is reported. `ProcessExecutor(timeout=...)` ends
    such an evaluation.

    Args:
        retries: how often a plan is judged again whose evaluation raised or gave no finite number.
        late: an evaluation is reported if it takes this many times the median of the previous ones, and at least a
            minute, or if it is one of the first three and takes ten minutes; None for never.
        tell: called from another thread with a sentence about a late evaluation; by default it is a `GnnrlWarning`.

    Raises:
        ConfigError: a number is out of its range.
    """

    def __init__(self, *, retries: int = 0, late: float | None = 10.0, tell: Callable[[str], None] = _warn) -> None:
        if retries < 0 or (late is not None and late <= 1):
            raise ConfigError(f"retries must be at least 0, late more than 1 or None; got {retries} and {late}")
        self._retries, self._late, self._tell = retries, late, tell
        self._scorer: Scorer | None = None
        self._seconds: deque[float] = deque(maxlen=100)

    def start(self, scorer: Scorer) -> None:
        """Take what all plans from here on are judged with."""
        self._scorer = scorer
        self._seconds.clear()

    def map(self, plans: Sequence[Widths]) -> Iterator[Scored]:
        """Judge plans; see `gnnrl.scoring.plans.Executor`.

        Raises:
            ConfigError: the executor was not started.
            GnnrlError: a plan could not be judged.
        """
        if self._scorer is None:
            raise ConfigError("the executor has to be started before it judges plans")
        scorer = self._scorer
        return (self._judged(scorer, plan) for plan in plans)

    def _judged(self, scorer: Scorer, plan: Widths) -> Scored:
        """Judge a plan, again if it fails."""
        for attempt in range(self._retries + 1):
            try:
                with self._watched(plan):
                    found = scorer(plan)
            except EvaluationError as error:
                if attempt == self._retries:
                    if attempt:
                        error.add_note(f"It was tried {attempt + 1} times.")
                    raise
            else:
                self._seconds.append(found.seconds)
                return found
        raise AssertionError("unreachable")

    @contextmanager
    def _watched(self, plan: Widths) -> Iterator[None]:
        """Report an evaluation that takes too long while it lasts."""
        if self._late is None:
            yield
            return
        usual = median(self._seconds) if len(self._seconds) >= _FEW else None
        longest = FIRST if usual is None else max(self._late * usual, LEAST)
        timer = Timer(longest, self._tell, [_late_message(plan, longest, usual)])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """Let go of the scorer."""
        self._scorer = None

    def __exit__(self, *error: object) -> None:
        self.close()


def _late_message(plan: Widths, longest: float, usual: float | None) -> str:
    others = "" if usual is None else f", those before took {usual:.3g} s"
    return (
        f"the evaluation of widths {list(plan)} has taken {longest:.0f} s{others}: does the evaluation function hang? "
        "It cannot be ended from here without ending the search. What was judged is kept where the search has a run "
        "directory (run=); gnnrl.executors.process.ProcessExecutor(timeout=seconds) ends an evaluation that hangs and "
        "judges the plan again"
    )
