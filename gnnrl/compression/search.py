"""The settings of a search: searcher, number of plans, seed and executor, checked when they are given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from gnnrl.errors import ConfigError
from gnnrl.executors.table import find_executor, started
from gnnrl.runs.memory import SearchMemory
from gnnrl.scoring.plans import Executor
from gnnrl.searchers.table import evaluations_of, find_searcher, name_of
from gnnrl.searchers.task import Searcher, Task, check_search
from gnnrl.searchers.task import search as search_task


@dataclass(frozen=True, slots=True)
class Search:
    """The arguments of `compress` other than network, data and limit.

    Attributes:
        searcher: a name of `gnnrl.searchers.table`, `module:attribute`, or a function of a `Task`, or its class.
        episodes: number of plans that may be scored.
        seed: seed of the search.
        finetune: function that trains the small network in place.
        executor: where plans are scored.
        keep: "better" keeps the repaired network if fine-tuning ruined it, "finetuned" never does.
    """

    searcher: str | type | Searcher = "ppo"
    episodes: int = 150
    seed: int = 0
    finetune: Callable[[nn.Module], Any] | None = None
    executor: str | Executor = "serial"
    keep: str = "better"

    def __post_init__(self) -> None:
        find_searcher(self.searcher)
        find_executor(self.executor)
        check_search(self.episodes, self.seed)
        if self.keep not in ("better", "finetuned"):
            raise ConfigError(f"keep must be 'better' or 'finetuned', got {self.keep!r}")
        if self.finetune is not None and not callable(self.finetune):
            raise ConfigError(f"finetune must be a function that trains a network in place, got {self.finetune!r}")

    @property
    def name(self) -> str:
        """The searcher's name."""
        return name_of(self.searcher)

    @property
    def evaluations(self) -> int:
        """Number of plans that may be scored: 1 for a closed form, which has only one plan."""
        return evaluations_of(self.searcher, self.episodes)

    def run(self, task: Task, memory: SearchMemory | None = None) -> Task:
        """Search; the task holds the trials, after those of a memory.

        If the evaluations of a run were raised, the previous search is followed by one that knows its trials.
        """
        budgets = [self.evaluations] if memory is None else memory.budgets(self.evaluations)
        task.memory = memory
        with started(find_executor(self.executor), task.scorer) as task.executor:
            for leg, task.evaluations in enumerate(budgets):
                task.seed = _seed_of(self.seed, leg)
                search_task(find_searcher(self.searcher), task)
        if memory is not None:
            memory.check_used(len(task.trials))
        task.executor = task.memory = None  # what is scored from here on does not belong to the search
        return task


def _seed_of(seed: int, leg: int) -> int:
    """Return the seed of the search that follows `leg` earlier ones of the same run."""
    return seed if leg == 0 else int(np.random.SeedSequence([seed, leg]).generate_state(1)[0])
