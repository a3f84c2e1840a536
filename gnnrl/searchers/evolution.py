"""Regularised evolution: the winner of a small tournament is copied with mutations, and the oldest plan is dropped.

Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search", https://arxiv.org/abs/1802.01548;
used for channel widths by Chin et al. 2020 (LeGR), https://arxiv.org/abs/1904.12368. The plans of the first population
are scored together. Then every child depends on the previous scores.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from gnnrl.searchers.task import Task
from gnnrl.searchers.wishes import SPREAD, new_near, plan_of


@dataclass(frozen=True, slots=True)
class EvolutionSearcher:
    """Regularised evolution.

    Attributes:
        population: plans in the population; at most a quarter of the evaluations.
        tournament: share of the population that competes to be the parent.
        mutated: share of the groups that differ between child and parent.
    """

    population: int = 20
    tournament: float = 0.25
    mutated: float = 0.2

    def __call__(self, task: Task) -> None:
        """Fill the population with plans around the closed form, then replace the oldest ones by children."""
        groups, rng = len(task.network.groups), np.random.default_rng(task.seed)
        size = max(min(self.population, task.evaluations // 4), 2)
        competing = max(round(self.tournament * size), 2)
        first = [np.zeros(groups), *rng.normal(0.0, SPREAD, (size - 1, groups))]
        scores = task.score_all([plan_of(task, wish) for wish in first])
        living = deque(zip(scores, first, strict=True), maxlen=size)
        while True:
            rivals = [living[index] for index in rng.choice(size, competing, replace=False)]
            _, parent = max(rivals, key=lambda rival: rival[0])
            genes = rng.random(groups) < self.mutated
            genes[rng.integers(groups)] = True
            child = new_near(task, parent, np.where(genes, SPREAD, 0.0), rng)
            living.append((task.score(plan_of(task, child)), child))
