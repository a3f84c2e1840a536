"""Who judges which plan when. Answers come in the order of the plans, the lost are repeated, the late given to another.

A crew is workers of some kind; it knows how to hire, feed, hear and dismiss them. Everything else is here, once for all
kinds:

- a worker that is lost costs its evaluation only, which another worker repeats, up to `retries` times;
- an evaluation that takes longer than `timeout` is ended with its worker, and counts as lost;
- an evaluation that takes `straggler` times the median goes to an idle worker as well, and the first answer wins.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from time import monotonic
from typing import Protocol

from gnnrl.errors import ConfigError, EvaluationError, ResourceError
from gnnrl.executors.outcome import Failure, Outcome
from gnnrl.scoring.plans import Judgement, Widths

TICK = 0.1
_LEAST_PATIENCE = 1.0
_FEW = 3


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has begun."""

    worker: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A worker has judged its plan."""

    worker: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is no more."""

    worker: int
    reason: str


Event = Ready | Answer | Lost


class Crew(Protocol):
    """Workers of one kind, by number."""

    def hire(self) -> int:
        """Have a worker begin; `Ready` or `Lost` follows."""
        ...

    def send(self, worker: int, plan: Widths) -> None:
        """Give a ready worker a plan; `Answer` or `Lost` follows."""

    def wait(self, seconds: float) -> list[Event]:
        """What happened, as soon as anything did, and no later than so many seconds."""
        ...

    def dismiss(self, worker: int) -> None:
        """End a worker, whatever it does; nothing is heard of it any more."""

    def close(self) -> None:
        """End all workers."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How workers are treated.

    Attributes:
        timeout: seconds that an evaluation may take; None for any number.
        retries: how often a lost evaluation is repeated.
        straggler: an evaluation that takes so many times the median, and a second at least, is given to an idle worker
            as well; None for never.

    Raises:
        ConfigError: a number is out of its range.
    """

    timeout: float | None = None
    retries: int = 2
    straggler: float | None = 4.0

    def __post_init__(self) -> None:
        has_time = self.timeout is None or self.timeout > 0
        if not has_time or self.retries < 0 or not (self.straggler is None or self.straggler > 1):
            raise ConfigError(
                f"timeout must be positive or None, retries at least 0, straggler more than 1 or None; got "
                f"{self.timeout}, {self.retries} and {self.straggler}"
            )


@dataclass(frozen=True, slots=True)
class _Work:
    """A plan in the hands of a worker."""

    batch: int
    position: int
    since: float


class Scheduler:
    """Has a crew judge plans.

    Args:
        crew: the workers; they are hired when there is work for them.
        workers: how many there may be.
        clock: seconds.
    """

    def __init__(self, crew: Crew, workers: int, patience: Patience, clock: Callable[[], float] = monotonic) -> None:
        if workers < 1:
            raise ConfigError(f"an executor needs at least one worker, got {workers}")
        self._crew, self._size, self._patience, self._clock = crew, workers, patience, clock
        self._beginning: set[int] = set()
        self._works: dict[int, _Work | None] = {}
        self._seconds: deque[float] = deque(maxlen=100)
        self._false_starts = 0
        self._batch = 0
        self._plans: Sequence[Widths] = ()
        self._waiting: deque[int] = deque()
        self._losses: Counter[int] = Counter()
        self._found: dict[int, Outcome] = {}

    def map(self, plans: Sequence[Widths]) -> Iterator[Judgement]:
        """Judge plans; yield what came of them in their order.

        What workers still do for an earlier batch, one that was given up, is not waited for.

        Raises:
            GnnrlError: that of the first plan which could not be judged, as its worker raised it.
            EvaluationError: its workers were lost again and again; the message names the plan.
            ResourceError: workers end before they begin.
        """
        self._batch += 1
        self._plans, self._waiting = plans, deque(range(len(plans)))
        self._losses, self._found = Counter(), {}
        for position in range(len(plans)):
            self._turn(0.0)
            while position not in self._found:
                self._turn(TICK)
            outcome = self._found[position]
            if isinstance(outcome, Failure):
                raise outcome.raised()
            yield outcome

    def _turn(self, seconds: float) -> None:
        """Hear what happened, give out what there is to do, and wait so long for more to happen."""
        for event in self._crew.wait(0.0):
            self._take(event)
        self._give_up()
        self._assign()
        if seconds:
            for event in self._crew.wait(seconds):
                self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, Ready):
            self._beginning.discard(event.worker)
            self._works[event.worker], self._false_starts = None, 0
        elif isinstance(event, Lost):
            self._lose(event.worker, event.reason)
        else:
            work, self._works[event.worker] = self._works[event.worker], None
            if isinstance(event.outcome, Judgement):
                self._seconds.append(event.outcome.seconds)
            if work is not None and self._is_wanted(work):
                self._found[work.position] = event.outcome

    def _is_wanted(self, work: _Work) -> bool:
        return work.batch == self._batch and work.position not in self._found

    def _lose(self, worker: int, reason: str) -> None:
        if worker in self._beginning:
            self._beginning.discard(worker)
            self._false_starts += 1
            if self._false_starts > self._patience.retries:
                raise ResourceError(
                    f"workers end before they begin ({reason}). Is there memory for them, and does the script begin "
                    "its work under `if __name__ == '__main__':`?"
                )
        work = self._works.pop(worker, None)
        if work is None or not self._is_wanted(work):
            return
        self._losses[work.position] += 1
        if any(other is not None and other.position == work.position for other in self._current()):
            return
        if self._losses[work.position] <= self._patience.retries:
            self._waiting.appendleft(work.position)
            return
        plan, times = list(self._plans[work.position]), self._losses[work.position]
        self._found[work.position] = Failure(
            EvaluationError(
                f"the plan of widths {plan} could not be judged: {times} workers were lost at it ({reason})"
            )
        )

    def _current(self) -> list[_Work]:
        """What is being done that somebody waits for."""
        return [work for work in self._works.values() if work is not None and self._is_wanted(work)]

    def _give_up(self) -> None:
        """End what takes too long, and what nobody waits for where there is other work."""
        now, patience = self._clock(), self._longest()
        for worker, work in list(self._works.items()):
            if work is None:
                continue
            if self._patience.timeout is not None and now - work.since > self._patience.timeout:
                self._crew.dismiss(worker)
                self._lose(worker, f"an evaluation may take {self._patience.timeout:g} s and took longer")
            elif self._waiting and not self._is_wanted(work) and patience is not None and now - work.since > patience:
                self._crew.dismiss(worker)
                del self._works[worker]

    def _longest(self) -> float | None:
        """Seconds after which an evaluation is late, as far as is known."""
        if self._patience.straggler is None or len(self._seconds) < _FEW:
            return None
        return max(self._patience.straggler * median(self._seconds), _LEAST_PATIENCE)

    def _late(self) -> list[int]:
        """Positions of plans that one worker has been at for too long, the longest first."""
        longest, now, current = self._longest(), self._clock(), self._current()
        if longest is None:
            return []
        copies = Counter(work.position for work in current)
        late = [work for work in current if copies[work.position] == 1 and now - work.since > longest]
        return [work.position for work in sorted(late, key=lambda work: work.since)]

    def _assign(self) -> None:
        """Give plans to idle workers, those that are late after all others, and hire as many as there is work for."""
        work = [*self._waiting, *self._late()]
        idle = [worker for worker, doing in self._works.items() if doing is None]
        room = self._size - len(self._works) - len(self._beginning)
        for _ in range(min(len(work) - len(idle) - len(self._beginning), room)):
            self._beginning.add(self._crew.hire())
        for worker, position in zip(idle, work, strict=False):
            self._works[worker] = _Work(self._batch, position, self._clock())
            if self._waiting:
                self._waiting.popleft()
            self._crew.send(worker, self._plans[position])
