"""Wishes: the space of most searchers. A wish has one number for each group, the logarithm of its error curve's weight.

This is also the space of the graph policy's actions (`Allocation`), so that searchers differ only in how they search.
A wish of zeros is the closed-form plan.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnrl.agent.ppo import PPOConfig
from gnnrl.network.labels import Component
from gnnrl.pruning.allocation import WISH_BOUND
from gnnrl.searchers.task import Task

SPREAD = math.exp(PPOConfig().log_std_init)
"""Standard deviation with which the graph policy and the other searchers start."""
_TRIES = 50
_FAR = WISH_BOUND / 2


class Wishes:
    """Wishes [G] of one task, their plans and scores.

    Args:
        task: task of the search.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.prior = task.prior(task.projection)
        self.size = len(self.prior)

    def plan(self, wish: ArrayLike) -> Component:
        """Return the widths [G] of a wish."""
        return self.task.plan(self.task.projection, np.asarray(wish, np.float64))

    def score(self, wish: ArrayLike) -> float:
        """Score the plan of a wish.

        Raises:
            BudgetSpent: see `Task.score`.
        """
        return self.task.score(self.plan(wish))

    def score_all(self, wishes: Iterable[ArrayLike]) -> list[float]:
        """Score plans of wishes together that do not depend on each other.

        Raises:
            BudgetSpent: see `Task.score_all`.
        """
        return self.task.score_all([self.plan(wish) for wish in wishes])

    def ask(self, wish: ArrayLike) -> None:
        """Ask for the score of a wish's plan.

        Raises:
            BudgetSpent: see `Task.ask`.
        """
        self.task.ask(self.plan(wish))

    def is_known(self, wish: ArrayLike) -> bool:
        """Return whether the plan of a wish was scored or asked for.

        Raises:
            BudgetSpent: see `Task.is_known`.
        """
        return self.task.is_known(self.plan(wish))

    def new_near(
        self, centre: NDArray[np.float64], spread: NDArray[np.float64] | float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw a wish around another one. While its plan is known, draw from a larger and larger distance."""
        wish = centre
        for attempt in range(_TRIES):
            scale = np.minimum(spread * 1.25**attempt, np.maximum(spread, _FAR))
            wish = centre + scale * rng.standard_normal(self.size)
            if not self.is_known(wish):
                break
        return wish.clip(-WISH_BOUND, WISH_BOUND)
