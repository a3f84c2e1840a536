"""The tree-structured Parzen estimator, which compares the density of good wishes with that of all others.

Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", NeurIPS. The implementation is optuna's.
The first plans are scored together. Then each plan depends on all previous scores.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnrl.imports import require
from gnnrl.pruning.allocation import WISH_BOUND
from gnnrl.searchers.task import Task
from gnnrl.searchers.wishes import SPREAD, Wishes


@dataclass(frozen=True, slots=True)
class TPESearcher:
    """Search with optuna's TPE sampler.

    Attributes:
        startup: plans around the closed form that are scored before densities are estimated. optuna would draw them
            from the whole space, in which hardly any plan is good.
    """

    startup: int = 10

    def __call__(self, task: Task) -> None:
        """Score the sampler's suggestions. If a suggestion is known, score another one near it, too."""
        optuna = require("optuna", "search")
        wishes, rng = Wishes(task), np.random.default_rng(task.seed)
        uniform = optuna.distributions.FloatDistribution(-WISH_BOUND, WISH_BOUND)
        space = {str(group): uniform for group in range(wishes.size)}

        def add(wish: NDArray[np.float64], score: float) -> None:
            params = {name: float(value) for name, value in zip(space, wish, strict=True)}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=score))

        with _quiet(optuna):
            sampler = optuna.samplers.TPESampler(n_startup_trials=self.startup, seed=task.seed)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            first = [np.zeros(wishes.size), *rng.normal(0.0, SPREAD, (self.startup - 1, wishes.size))]
            for wish, score in zip(first, wishes.score_all(first), strict=True):
                add(wish, score)
            while True:
                trial = study.ask(space)
                wish = np.array([trial.params[name] for name in space])
                repeated = wishes.is_known(wish)
                study.tell(trial, wishes.score(wish))
                if repeated:
                    near = wishes.new_near(wish, SPREAD, rng)
                    add(near, wishes.score(near))


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
