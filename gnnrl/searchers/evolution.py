"""Regularised evolution: the winner of a small tournament is copied with mutations, and the oldest plan is dropped.

Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search", https://arxiv.org/abs/1802.01548;
used for channel widths by Chin et al. 2020 (LeGR), https://arxiv.org/abs/1904.12368. The plans of the first population
are scored together. Then every child depends on the previous scores.
"""

from collections import deque

import numpy as np

from gnnrl.searchers.task import Task
from gnnrl.searchers.wishes import SPREAD, new_near, plan_of

_POPULATION = 20
_TOURNAMENT = 0.25
"""Share of the population that competes to be the parent."""
_MUTATED = 0.2
"""Share of the groups that differ between child and parent."""


def evolve(task: Task) -> None:
    """Fill the population with plans around the closed form, then replace the oldest ones by children."""
    groups, rng = len(task.network.groups), np.random.default_rng(task.seed)
    size = max(min(_POPULATION, task.evaluations // 4), 2)
    competing = max(round(_TOURNAMENT * size), 2)
    first = [np.zeros(groups), *rng.normal(0.0, SPREAD, (size - 1, groups))]
    scores = task.score_all([plan_of(task, wish) for wish in first])
    living = deque(zip(scores, first, strict=True), maxlen=size)
    while True:
        rivals = [living[index] for index in rng.choice(size, competing, replace=False)]
        _, parent = max(rivals, key=lambda rival: rival[0])
        genes = rng.random(groups) < _MUTATED
        genes[rng.integers(groups)] = True
        child = new_near(task, parent, np.where(genes, SPREAD, 0.0), rng)
        living.append((task.score(plan_of(task, child)), child))
