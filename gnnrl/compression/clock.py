"""Stages of a long call: when they begin, and how long they take."""

from collections.abc import Callable
from time import perf_counter


class Clock:
    """Times stages and announces them."""

    def __init__(self, on_stage: Callable[[str], None] | None) -> None:
        self.seconds: dict[str, float] = {}
        self._on_stage = on_stage
        self._stage: str | None = None
        self._start = perf_counter()

    def begin(self, stage: str) -> None:
        """End the stage before, and begin one."""
        self.end()
        self._stage, self._start = stage, perf_counter()
        if self._on_stage:
            self._on_stage(stage)

    def end(self) -> None:
        """End the last stage."""
        if self._stage is not None:
            self.seconds[self._stage] = perf_counter() - self._start
        self._stage = None
