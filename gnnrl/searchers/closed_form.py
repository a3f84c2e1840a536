"""Searchers that compute one plan without a search, and score it."""

import numpy as np

from gnnrl.pruning.plan import Plan
from gnnrl.searchers.task import Task


def uniform(task: Task) -> None:
    """Give every group the same keep ratio."""
    sizes = task.network.widths.astype(np.float64)
    task.score(task.projection.of_family(lambda ratio: sizes * ratio, 0.0, 1.0))


def ranked(task: Task) -> None:
    """Remove the least important units of the whole network."""
    task.score(np.array(Plan.ranked_within(task.projection, task.scores).widths))


def curves(task: Task) -> None:
    """Minimise the sum of the error curves."""
    task.score(task.prior(task.projection))
