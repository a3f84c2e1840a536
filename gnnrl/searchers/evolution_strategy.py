"""CMA-ES: a normal distribution whose mean, step size and covariance adapt to the best plans of each generation.

Hansen & Ostermeier 2001, "Completely Derandomized Self-Adaptation in Evolution Strategies"; Hansen 2016, "The CMA
Evolution Strategy: A Tutorial", https://arxiv.org/abs/1604.00772. The implementation is the authors' package `cma`.
"""

import warnings

import numpy as np

from gnnrl.imports import require
from gnnrl.pruning.allocation import WISH_BOUND
from gnnrl.searchers.task import Task
from gnnrl.searchers.wishes import SPREAD, plan_of


def adapt(task: Task) -> None:
    """Score generations, from the closed-form plan. After convergence, start again with twice the step size."""
    cma = require("cma", "search")
    groups, rng = len(task.network.groups), np.random.default_rng(task.seed)
    options = {
        "bounds": [-WISH_BOUND, WISH_BOUND],
        "randn": lambda *shape: rng.standard_normal(shape),
        "seed": np.nan,  # the package would seed the global generator
        "verbose": -9,
        "verb_log": 0,
    }
    centre = [0.0] * max(groups, 2)  # the package needs at least two dimensions
    task.ask(plan_of(task, np.zeros(groups)))
    sigma = SPREAD
    while True:
        strategy = cma.CMAEvolutionStrategy(centre, sigma, options)
        while not strategy.stop():
            used = task.used
            generation = strategy.ask()
            scores = task.score_all([plan_of(task, wish[:groups]) for wish in generation])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # generations often have equal scores
                strategy.tell(generation, [-score for score in scores])
            if task.used == used:
                break
        sigma = min(2 * sigma, WISH_BOUND / 2)
