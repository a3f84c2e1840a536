"""Comparison of searchers at equal numbers of plans.

Every searcher gets the same network, limit, projection, curves, criterion, repair, reward and images. A run is one
searcher with one seed. Runs are written to a file, so that a comparison can be resumed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from gnnrl.compression.comparison import Comparison, Run
from gnnrl.compression.observer import Observer
from gnnrl.errors import ConfigError
from gnnrl.modules.copies import copy_network
from gnnrl.scoring.plans import Evaluate, Executor, Scorer, Trial, score_network
from gnnrl.searchers.table import evaluations_of, find_searcher, name_of
from gnnrl.searchers.task import Searcher, Task, check_search
from gnnrl.searchers.task import search as search_task

DEFAULT_SEARCHERS = ("ppo", "evolution", "random", "curves")
_TOLERANCE = 1e-4


class Contest:
    """The searchers to compare, their seeds, and the file that keeps the runs.

    Args:
        episodes: number of plans that each run may score.
        path: file that is written after each run; None for no file.

    Raises:
        ConfigError: two searchers have the same name, or a seed is given twice.
    """

    def __init__(
        self,
        searchers: Sequence[str | type | Searcher] = DEFAULT_SEARCHERS,
        seeds: Sequence[int] = (0, 1, 2),
        episodes: int = 150,
        path: str | Path | None = None,
    ) -> None:
        check_search(episodes)
        for searcher in searchers:
            find_searcher(searcher)
        self.searchers = {name_of(searcher): searcher for searcher in searchers}
        self.seeds, self.episodes, self.path = tuple(seeds), episodes, None if path is None else Path(path)
        is_twice = len(self.searchers) < len(searchers) or len(set(seeds)) < len(seeds)
        if is_twice or not self.searchers or not seeds:
            raise ConfigError("a comparison needs searchers with different names, and different seeds")

    def before(self, settings: Mapping[str, Any]) -> Comparison | None:
        """Read the comparison that the file holds, if any; raise ConfigError if it has other settings."""
        if self.path is None or not self.path.exists():
            return None
        before = Comparison.load(self.path)
        self._refuse(_differing(settings, before))
        return before

    def begin(self, settings: Mapping[str, Any], dense: float, before: Comparison | None) -> Comparison:
        """Return the comparison, with the runs that the file holds; raise ConfigError if of another network."""
        budgets = {name: evaluations_of(searcher, self.episodes) for name, searcher in self.searchers.items()}
        asked = [(name, seed) for seed in self.seeds for name in budgets if budgets[name] > 1 or seed == self.seeds[0]]
        fresh = Comparison(json.loads(json.dumps(dict(settings))), {"reward": dense}, tuple(asked))
        if before is None:
            return fresh
        differing = _differing(settings, before)
        if not np.isclose(before.dense["reward"], dense, rtol=_TOLERANCE):
            differing.append("reward of the dense network")
        self._refuse(differing)
        done = {(found.searcher, found.seed) for found in before.runs}
        planned = tuple(pair for pair in dict.fromkeys((*before.planned, *asked)) if pair in {*asked, *done})
        return replace(fresh, dense=before.dense, planned=planned, runs=before.runs)

    def fill(
        self, comparison: Comparison, task: Callable[[int, int], Task], executor: Executor, observer: Observer
    ) -> None:
        """Do the missing runs on a started executor; `task` makes a task of a number of plans and a seed."""
        for name, seed in comparison.missing:
            observer.begin(f"{name}, seed {seed}")
            searcher = self.searchers[name]
            asked = task(evaluations_of(searcher, self.episodes), seed)
            asked.executor = executor
            comparison.runs.append(_timed_run(asked, name, find_searcher(searcher), observer))
            self.write(comparison)

    def read_test(self, comparison: Comparison, scorer: Scorer, read: Evaluate) -> None:
        """Measure the missing test scores of the best plans."""
        if "test" not in comparison.dense:
            comparison.dense["test"] = score_network(read, copy_network(scorer.model), "the dense network")
        for index, found in enumerate(comparison.runs):
            if found.test is None:
                score = score_network(read, scorer.build(scorer.plan(found.widths)))
                comparison.runs[index] = replace(found, test=score)
                self.write(comparison)

    def write(self, comparison: Comparison) -> None:
        """Write the file, if there is one."""
        if self.path is not None:
            comparison.save(self.path)

    def _refuse(self, differing: Sequence[str]) -> None:
        if differing:
            raise ConfigError(
                f"{self.path} holds runs under other settings ({', '.join(differing)}); give another file, or delete "
                "this one"
            )


def _differing(settings: Mapping[str, Any], before: Comparison) -> list[str]:
    known = json.loads(json.dumps(dict(settings)))
    return [name for name, value in known.items() if before.settings.get(name) != value]


def _timed_run(task: Task, name: str, searcher: Searcher, observer: Observer) -> Run:
    start, seconds = perf_counter(), list[float]()

    def note(trial: Trial) -> None:
        seconds.append(perf_counter() - start)
        observer.judged(trial)

    task.on_trial = note
    best = search_task(searcher, task)
    return Run(name, task.seed, tuple(trial.score for trial in task.trials), tuple(seconds), best.widths)
