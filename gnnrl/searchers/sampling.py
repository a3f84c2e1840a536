"""Random search, the baseline for every other searcher at the same number of evaluations.

Li & Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019,
https://arxiv.org/abs/1902.07638.
"""

import numpy as np

from gnnrl.searchers.task import Task
from gnnrl.searchers.wishes import SPREAD, Wishes


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
    wishes, rng = Wishes(task), np.random.default_rng(task.seed)
    task.ask(wishes.prior)
    while True:
        wishes.ask(wishes.new_near(np.zeros(wishes.size), SPREAD, rng))
