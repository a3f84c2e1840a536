"""Observers: objects that receive the progress of a long call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from gnnrl.scoring.plans import Trial

STAGES = ("trace", "latency", "calibrate", "curves", "weigh", "search", "verify", "finetune", "test")
"""Stages; "latency" only runs if latency is limited, "finetune" only if a function for it is given."""


class Observer:
    """Follows a long call. Every method does nothing here; override those that you need.

    class Printer(Observer):
        def judged(self, trial):
            print(trial.number, trial.score)

    gnnrl.Study(model, inputs, evaluate=batches, observer=Printer())
    """

    def begin(self, stage: str) -> None:
        """Note that a stage begins; one of `STAGES`."""

    def advance(self, done: int, total: int) -> None:
        """Note how many steps of the stage are done, such as layers measured or channels weighed."""

    def judged(self, trial: Trial) -> None:
        """Note a plan that was scored."""

    def expect(self, plans: int) -> None:
        """Note how many plans the search may score."""

    def end(self) -> None:
        """Note that the stage ended."""


class Callbacks(Observer):
    """An observer made of functions, as `compress` takes them."""

    def __init__(
        self,
        on_stage: Callable[[str], None] | None = None,
        on_trial: Callable[[Trial], None] | None = None,
        on_advance: Callable[[int, int], None] | None = None,
    ) -> None:
        self._on_stage, self._on_trial, self._on_advance = on_stage, on_trial, on_advance
        self._stage = ""

    def begin(self, stage: str) -> None:
        """Call `on_stage`."""
        self._stage = stage
        if self._on_stage:
            self._on_stage(stage)

    def advance(self, done: int, total: int) -> None:
        """Call `on_advance`, which counts measured layers and channels, but neither groups nor epochs."""
        if self._on_advance and self._stage in ("latency", "curves"):
            self._on_advance(done, total)

    def judged(self, trial: Trial) -> None:
        """Call `on_trial`."""
        if self._on_trial:
            self._on_trial(trial)


class Clock(Observer):
    """Measures the seconds of each stage, and passes everything on to other observers."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers
        self.seconds: dict[str, float] = {}
        self._stage: str | None = None
        self._start = perf_counter()

    def begin(self, stage: str) -> None:
        """End the previous stage, and begin one."""
        self.end()
        self._stage, self._start = stage, perf_counter()
        self._tell(lambda observer: observer.begin(stage))

    def advance(self, done: int, total: int) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.advance(done, total))

    def judged(self, trial: Trial) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.judged(trial))

    def expect(self, plans: int) -> None:
        """Pass it on."""
        self._tell(lambda observer: observer.expect(plans))

    def add(self, stage: str, seconds: float) -> None:
        """Add the time of a stage that somebody else measured, such as the loading of the data."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Time a stage that ends with the block."""
        self.begin(stage)
        with self:
            yield

    def __enter__(self) -> None:
        """Begin a block, whose last stage ends with it, also after an error."""

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """End the last stage."""
        if self._stage is not None:
            self.seconds[self._stage] = perf_counter() - self._start
            self._tell(lambda observer: observer.end())
        self._stage = None

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            call(observer)
