"""Schedules plans on workers of any kind. Answers come in the order of the plans.

- A worker that is lost costs only its evaluation, which another worker repeats, up to `retries` times.
- An evaluation that takes longer than `timeout` is ended with its worker, and counts as lost.
- An evaluation that takes `straggler` times the median also goes to an idle worker, and the first answer is taken.
"""

import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from statistics import median
from time import monotonic
from typing import Any, Protocol, Self

from gnnrl.errors import ConfigError, EvaluationError, ResourceError
from gnnrl.executors.worker import Failure, Outcome, judge
from gnnrl.scoring.plans import Scored, Widths

TICK = 0.1
_LEAST_PATIENCE = 1.0
_FEW = 3


class Worker(Protocol):
    """A process, an actor or a thread that does one task at a time."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "Future[Any]":
        """Start a task; its future has an exception if the worker is lost.

        Raises:
            BrokenExecutor: the worker is lost already.
        """
        ...

    def end(self, error: BaseException | None = None) -> str:
        """End the worker, whatever it does; return why it was lost, if `error` is the exception of its task."""
        ...


Hire = Callable[[], "tuple[Worker, Future[str | None]]"]
"""Starts a worker; the future is that of `gnnrl.executors.worker.load` in it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits on what a worker may take.

    Attributes:
        timeout: seconds that an evaluation may take; None for any number.
        retries: how often a lost evaluation is repeated.
        straggler: an evaluation that takes this many times the median, and at least a second, is given to an idle
            worker as well; None for never.

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
class _Task:
    """A task in hand: judge the plan at a position, or load the judge (position None)."""

    worker: Worker
    since: float
    position: int | None = None


class Scheduler:
    """Judges batches of plans on workers, which are started when there is work for them.

    Args:
        hire: starts a worker.
        workers: the highest number of workers at a time.
    """

    def __init__(
        self,
        hire: Hire,
        workers: int,
        patience: Patience,
        *,
        clock: Callable[[], float] = monotonic,
        wait: Callable[..., Any] = wait,
    ) -> None:
        if workers < 1:
            raise ConfigError(f"there must be at least one worker, got {workers}")
        self._hire, self._size, self._patience, self._clock, self._wait = hire, workers, patience, clock, wait
        self._tasks: dict[Future[Any], _Task] = {}
        self._idle: list[Worker] = []
        self._seconds: deque[float] = deque(maxlen=100)
        self._false_starts = 0
        self._plans: Sequence[Widths] = ()
        self._waiting: deque[int] = deque()
        self._losses: Counter[int] = Counter()
        self._found: dict[int, Outcome] = {}

    def map(self, plans: Sequence[Widths]) -> Iterator[Scored]:
        """Judge plans; yield their judgements in the order of the plans.

        Evaluations that an earlier, abandoned batch left behind are ended.

        Raises:
            GnnrlError: the error of the first plan that could not be judged, as its worker raised it.
            EvaluationError: the workers of a plan were lost again and again; the message names the plan.
            ResourceError: workers end before they begin.
        """
        for future, task in [(future, task) for future, task in self._tasks.items() if task.position is not None]:
            del self._tasks[future]
            task.worker.end()
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

    def close(self) -> None:
        """End all workers."""
        workers = [*self._idle, *(task.worker for task in self._tasks.values())]
        self._idle, self._tasks = [], {}
        for worker in workers:
            worker.end()

    def _turn(self, seconds: float) -> None:
        """Wait for tasks that end, end those that take too long, and give idle workers their next tasks."""
        for future in self._wait([*self._tasks], seconds, FIRST_COMPLETED).done:
            self._take(self._tasks.pop(future), future)
        self._end_late()
        self._assign()

    def _take(self, task: _Task, future: "Future[Any]") -> None:
        """Take the result of a task."""
        if error := future.exception():
            self._lose(task, task.worker.end(error))
            return
        self._idle.append(task.worker)
        result = future.result()
        if task.position is None:
            self._false_starts = 0
            if result is not None:
                raise ConfigError(
                    f"workers cannot load what judges plans ({result}). Network and evaluation function must come from "
                    "modules that each worker can import, not from an interactive session: use executor 'serial', or "
                    "send the modules to a cluster with runtime_env={'working_dir': '.'}"
                )
            return
        if isinstance(result, Scored):
            self._seconds.append(result.seconds)
        self._found.setdefault(task.position, result)

    def _lose(self, task: _Task, reason: str) -> None:
        """Count a lost worker; have its plan judged again, or give the plan up."""
        if task.position is None:
            self._false_starts += 1
            if self._false_starts > self._patience.retries:
                raise ResourceError(
                    f"workers end before they begin ({reason}). Is there enough memory for them, and does the script "
                    "start its work under `if __name__ == '__main__':`?"
                )
            return
        self._losses[task.position] += 1
        if task.position in self._found or any(other.position == task.position for other in self._tasks.values()):
            return
        if self._losses[task.position] <= self._patience.retries:
            self._waiting.appendleft(task.position)
            return
        plan, times = list(self._plans[task.position]), self._losses[task.position]
        message = f"the plan of widths {plan} could not be judged: {times} workers were lost at it ({reason})"
        self._found[task.position] = Failure(EvaluationError(message))

    def _end_late(self) -> None:
        """End evaluations that take longer than they may."""
        timeout = self._patience.timeout
        for future, task in list(self._tasks.items()):
            if timeout is not None and task.position is not None and self._clock() - task.since > timeout:
                del self._tasks[future]
                task.worker.end()
                self._lose(task, f"an evaluation may take {timeout:g} s and took longer")

    def _late(self) -> list[int]:
        """Return the positions of plans that are late in the hands of one worker, the latest first."""
        if self._patience.straggler is None or len(self._seconds) < _FEW:
            return []
        latest = self._clock() - max(self._patience.straggler * median(self._seconds), _LEAST_PATIENCE)
        tasks = [(task.since, task.position) for task in self._tasks.values() if task.position is not None]
        copies = Counter(position for _, position in tasks)
        late = [task for task in tasks if task[0] < latest and copies[task[1]] == 1 and task[1] not in self._found]
        return [position for _, position in sorted(late)]

    def _assign(self) -> None:
        """Give plans to idle workers, late plans last, and start as many workers as there is work for."""
        work = [*self._waiting, *self._late()]
        beginning = sum(task.position is None for task in self._tasks.values())
        room = self._size - len(self._tasks) - len(self._idle)
        for _ in range(min(len(work) - len(self._idle) - beginning, room)):
            worker, loaded = self._hire()
            self._tasks[loaded] = _Task(worker, self._clock())
        while work and self._idle:
            worker, position = self._idle.pop(), work[0]
            try:
                future = worker.submit(judge, self._plans[position])
            except BrokenExecutor as error:  # it was lost while it was idle, which costs no plan a try
                worker.end(error)
                continue
            work.pop(0)
            if self._waiting:
                self._waiting.popleft()
            self._tasks[future] = _Task(worker, self._clock(), position)


class WorkerExecutor(AbstractContextManager[Any]):
    """An executor whose plans are judged by workers; a subclass says in `start` which workers."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._scheduler: Scheduler | None = None
        self._end: weakref.finalize[Any, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def employ(self, hire: Hire, workers: int, *ends: Callable[[], object]) -> None:
        """Have workers judge all plans from here on; `ends` are called after the last worker has ended."""
        self._scheduler = Scheduler(hire, workers, self._patience)
        stack = ExitStack()
        for end in (*ends, self._scheduler.close):
            stack.callback(end)
        self._end = weakref.finalize(self, stack.close)

    def map(self, plans: Sequence[Widths]) -> Iterator[Scored]:
        """Judge plans; see `gnnrl.scoring.plans.Executor` and `Scheduler.map`.

        Raises:
            ConfigError: the executor was not started.
        """
        if self._scheduler is None:
            raise ConfigError("the executor has to be started before it judges plans")
        return self._scheduler.map(plans)

    def close(self) -> None:
        """End all workers, whatever they do, and what was started for them."""
        if self._end is not None:
            self._end()
        self._scheduler = self._end = None
