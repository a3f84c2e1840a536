"""The tree-structured Parzen estimator, which compares the density of good wishes with that of all others.

Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", NeurIPS. The implementation is optuna's.
The first plans are scored together. Then each plan depends on all previous scores.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnrl.imports import require
from gnnrl.pruning.allocation import WISH_BOUND
from gnnrl.searchers.task import Task
from gnnrl.searchers.wishes import SPREAD, new_near, plan_of

_STARTUP = 10
"""Plans around the closed form that are scored before densities are estimated. optuna would draw them from the whole
space, in which hardly any plan is good."""


def estimate(task: Task) -> None:
    """Score the sampler's suggestions. If a suggestion is known, score another one near it, too."""
    optuna = require("optuna", "search")
    groups, rng = len(task.network.groups), np.random.default_rng(task.seed)
    uniform = optuna.distributions.FloatDistribution(-WISH_BOUND, WISH_BOUND)
    space = {str(group): uniform for group in range(groups)}

    def add(wish: NDArray[np.float64], score: float) -> None:
        params = {name: float(value) for name, value in zip(space, wish, strict=True)}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=score))

    with _quiet(optuna):
        sampler = optuna.samplers.TPESampler(n_startup_trials=_STARTUP, seed=task.seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        first = [np.zeros(groups), *rng.normal(0.0, SPREAD, (_STARTUP - 1, groups))]
        for wish, score in zip(first, task.score_all([plan_of(task, wish) for wish in first]), strict=True):
            add(wish, score)
        while True:
            trial = study.ask(space)
            wish = np.array([trial.params[name] for name in space])
            repeated = task.is_known(plan_of(task, wish))
            study.tell(trial, task.score(plan_of(task, wish)))
            if repeated:
                near = new_near(task, wish, SPREAD, rng)
                add(near, task.score(plan_of(task, near)))


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
