"""The space that most searchers look through: how much more each group's error curve should count, one number a group.

It is the space of the graph policy's actions (`Allocation`), so that searchers differ in how they search and in nothing
else. A wish of zeros is the closed-form plan.
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
"""Standard deviation with which the graph policy begins, and everybody else does."""
_TRIES = 50
_FAR = WISH_BOUND / 2


class Wishes:
    """Wishes [G] of one task, their plans and scores.

    Args:
        task: what is searched.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.prior = task.prior(task.projection)
        self.size = len(self.prior)

    def plan(self, wish: ArrayLike) -> Component:
        """Widths [G] of a wish."""
        return self.task.plan(self.task.projection, np.asarray(wish, np.float64))

    def score(self, wish: ArrayLike) -> float:
        """Score of a wish.

        Raises:
            BudgetSpent: see `Task.score`.
        """
        return self.task.score(self.plan(wish))

    def score_all(self, wishes: Iterable[ArrayLike]) -> list[float]:
        """Scores of wishes that do not depend on each other, judged together.

        Raises:
            BudgetSpent: see `Task.score_all`.
        """
        return self.task.score_all([self.plan(wish) for wish in wishes])

    def ask(self, wish: ArrayLike) -> None:
        """Have a wish judged, with others perhaps.

        Raises:
            BudgetSpent: see `Task.ask`.
        """
        self.task.ask(self.plan(wish))

    def is_known(self, wish: ArrayLike) -> bool:
        """Whether the plan of a wish was judged before or asked for.

        Raises:
            BudgetSpent: see `Task.is_known`.
        """
        return self.task.is_known(self.plan(wish))

    def new_near(
        self, centre: NDArray[np.float64], spread: NDArray[np.float64] | float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw a wish around another; while its plan is known already, from further and further away."""
        wish = centre
        for attempt in range(_TRIES):
            scale = np.minimum(spread * 1.25**attempt, np.maximum(spread, _FAR))
            wish = centre + scale * rng.standard_normal(self.size)
            if not self.is_known(wish):
                break
        return wish.clip(-WISH_BOUND, WISH_BOUND)
