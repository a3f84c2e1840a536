"""Baselines: plans that are computed without a search, and random search at the same number of evaluations.

Li & Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019,
https://arxiv.org/abs/1902.07638.
"""

import numpy as np

from gnnrl.pruning.plan import Plan
from gnnrl.searchers.task import Task
from gnnrl.searchers.wishes import SPREAD, new_near, plan_of


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


def random(task: Task) -> None:
    """Draw logits of keep ratios from a normal distribution around zero. All plans are scored together."""
    rng = np.random.default_rng(task.seed)
    task.ask(task.projection.of_logits(np.zeros(len(task.network.groups))))
    while True:
        task.ask(task.projection.of_logits(rng.normal(0.0, 1.0, len(task.network.groups))))


def random_prior(task: Task) -> None:
    """Draw wishes around the closed-form plan with the graph policy's standard deviation, or wider if all are known.

    All plans are scored together.
    """
    rng, start = np.random.default_rng(task.seed), np.zeros(len(task.network.groups))
    task.ask(plan_of(task, start))
    while True:
        task.ask(plan_of(task, new_near(task, start, SPREAD, rng)))
