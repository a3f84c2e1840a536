"""The space that most searchers look through: how far to leave the closed-form plan, one number a group.

It is the space of the graph policy's actions (`Projection.around`), so that searchers differ in how they search and in
nothing else. A wish of zeros is the closed-form plan.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnrl.agent.ppo import PPOConfig
from gnnrl.environment import ACTION_BOUND
from gnnrl.network.labels import Component
from gnnrl.searchers.task import Task

SPREAD = math.exp(PPOConfig().log_std_init)
"""Standard deviation with which the graph policy begins, and everybody else does."""
_TRIES = 20


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
        bounded = np.clip(np.asarray(wish, np.float64), -ACTION_BOUND, ACTION_BOUND)
        return self.task.projection.around(self.prior, bounded)

    def score(self, wish: ArrayLike) -> float:
        """Score of a wish.

        Raises:
            BudgetSpent: see `Task.score`.
        """
        return self.task.score(self.plan(wish))

    def is_known(self, wish: ArrayLike) -> bool:
        """Whether the plan of a wish was judged before."""
        return self.task.evaluator.known(self.plan(wish)) is not None

    def new_near(
        self, centre: NDArray[np.float64], spread: NDArray[np.float64] | float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw a wish around another; while its plan is known already, from further and further away."""
        wish = centre
        for attempt in range(_TRIES):
            wish = centre + spread * 1.25**attempt * rng.standard_normal(self.size)
            if not self.is_known(wish):
                break
        return wish.clip(-ACTION_BOUND, ACTION_BOUND)
