"""What executors with workers share: a crew is employed for one judge, and dismissed whatever happens."""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

from gnnrl.errors import ConfigError
from gnnrl.executors.scheduling import Crew, Patience, Scheduler
from gnnrl.scoring.plans import Judgement, Widths


class CrewExecutor(AbstractContextManager[Any]):
    """An executor whose plans a crew judges; a subclass says in `start` what crew."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._scheduler: Scheduler | None = None
        self._end: weakref.finalize[Any, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def employ(self, crew: Crew, workers: int) -> None:
        """Have so many workers of a crew judge all plans from here on."""
        self._scheduler = Scheduler(crew, workers, self._patience)
        self._end = weakref.finalize(self, crew.close)

    def map(self, plans: Sequence[Widths]) -> Iterator[Judgement]:
        """Judge plans; see `gnnrl.scoring.plans.Executor` and `Scheduler.map`.

        Raises:
            ConfigError: the executor was not started.
        """
        if self._scheduler is None:
            raise ConfigError("the executor has to be started before it judges plans")
        return self._scheduler.map(plans)

    def close(self) -> None:
        """End all workers, whatever they do, and what was begun for them."""
        if self._end is not None:
            self._end()
        self._scheduler = self._end = None
