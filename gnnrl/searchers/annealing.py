"""Simulated annealing over plans at the limit: each step moves channels from one group to another.

Kirkpatrick, Gelatt, Vecchi 1983, "Optimization by Simulated Annealing", Science 220; used for pruning by Liu et al.
2020 (AutoCompress), https://arxiv.org/abs/1907.03141. Each step starts where the previous one ended, so plans are
scored one by one with every executor.
"""

import numpy as np

from gnnrl.searchers.exchanges import exchange
from gnnrl.searchers.task import Task

_TRIES = 20
_SHARE = 0.5
"""Largest part of a group that moves in a step at the start; it falls with the temperature."""
_COLDEST = 0.01
"""Last temperature as a share of the first."""


def anneal(task: Task) -> None:
    """Walk from the closed-form plan. The first temperature is the mean change of the score in the first moves."""
    rng = np.random.default_rng(task.seed)
    here = task.prior(task.projection)
    score = task.score(here)
    losses: list[float] = []
    while True:
        heat = _COLDEST ** (len(task.trials) / task.evaluations)
        there = here
        for attempt in range(_TRIES):
            share = _SHARE * max(heat**0.5, (attempt + 1) / _TRIES)
            there = exchange(task.projection, there, share, rng)
            if not task.is_scored(there):
                break
        reached = task.score(there)
        losses += [abs(reached - score)] if len(losses) < 10 else []
        temperature = max(float(np.mean(losses)) * heat, 1e-12)
        if reached >= score or rng.random() < np.exp((reached - score) / temperature):
            here, score = there, reached
