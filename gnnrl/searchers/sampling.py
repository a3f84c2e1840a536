"""Random search, the baseline for every other searcher at the same number of evaluations.

Li & Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019,
https://arxiv.org/abs/1902.07638.
"""

import numpy as np

from gnnrl.searchers.task import Task
from gnnrl.searchers.wishes import SPREAD, new_near, plan_of


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
