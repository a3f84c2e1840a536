"""Wishes: the space of most searchers. A wish has one number for each group, the logarithm of its error curve's weight.

This is also the space of the graph policy's actions (`Allocation`), so that searchers differ only in how they search.
A wish of zeros is the closed-form plan.
"""

import math

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


def plan_of(task: Task, wish: ArrayLike) -> Component:
    """Return the widths [G] of a wish."""
    return task.plan(task.projection, np.asarray(wish, np.float64))


def new_near(
    task: Task, centre: NDArray[np.float64], spread: NDArray[np.float64] | float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw a wish around another one. While its plan is known, draw from a larger and larger distance.

    Raises:
        BudgetSpent: see `Task.is_known`.
    """
    wish = centre
    for attempt in range(_TRIES):
        scale = np.minimum(spread * 1.25**attempt, np.maximum(spread, _FAR))
        wish = centre + scale * rng.standard_normal(len(centre))
        if not task.is_known(plan_of(task, wish)):
            break
    return wish.clip(-WISH_BOUND, WISH_BOUND)
