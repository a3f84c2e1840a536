"""Simulated annealing over plans at the limit: each step moves channels from one group to another.

Kirkpatrick, Gelatt, Vecchi 1983, "Optimization by Simulated Annealing", Science 220; used for pruning by Liu et al.
2020 (AutoCompress), https://arxiv.org/abs/1907.03141. Each step starts where the previous one ended, so plans are
scored one by one with every executor.
"""

from dataclasses import dataclass

import numpy as np

from gnnrl.searchers.exchanges import exchange
from gnnrl.searchers.task import Task

_TRIES = 20


@dataclass(frozen=True, slots=True)
class AnnealingSearcher:
    """Simulated annealing.

    Attributes:
        share: largest part of a group that moves in a step at the start; it falls with the temperature.
        coldest: last temperature as a share of the first.
    """

    share: float = 0.5
    coldest: float = 0.01

    def __call__(self, task: Task) -> None:
        """Walk from the closed-form plan. The first temperature is the mean change of the score in the first moves."""
        rng = np.random.default_rng(task.seed)
        here = task.prior(task.projection)
        score = task.score(here)
        losses: list[float] = []
        while True:
            heat = self.coldest ** (len(task.trials) / task.evaluations)
            there = here
            for attempt in range(_TRIES):
                share = self.share * max(heat**0.5, (attempt + 1) / _TRIES)
                there = exchange(task.projection, there, share, rng)
                if not task.is_scored(there):
                    break
            reached = task.score(there)
            losses += [abs(reached - score)] if len(losses) < 10 else []
            temperature = max(float(np.mean(losses)) * heat, 1e-12)
            if reached >= score or rng.random() < np.exp((reached - score) / temperature):
                here, score = there, reached
