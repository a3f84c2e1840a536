"""NetAdapt: steps towards the limit, each of which narrows the group that costs the least score.

Yang et al. 2018, "NetAdapt: Platform-Aware Neural Network Adaptation for Mobile Applications",
https://arxiv.org/abs/1804.03230. Two details differ. Before a proposal is scored, all its groups are narrowed by one
ratio onto the final limit, so every scored plan can be the result. And if there are many groups for the evaluations,
only those are proposed whose error curves rise least. The proposals of a step are scored together, the exchanges at the
end one by one, because each starts from the best plan.
"""

import numpy as np

from gnnrl.network.cost import Budget
from gnnrl.network.labels import Component
from gnnrl.searchers.exchanges import exchange
from gnnrl.searchers.task import Task

_SHARE = 0.3


def netadapt(task: Task) -> None:
    """Go down to the limit, then spend the other evaluations on exchanges that improve the best plan."""
    proposals = min(max(round(task.evaluations**0.5), 1), len(task.network.groups))
    steps = max(task.evaluations // proposals, 1)
    dense = task.network.cost.measure(task.network.widths)
    widths = task.network.widths
    task.score(_completed(task, widths))
    for step in range(1, steps + 1):
        candidates = _narrowed(task, widths, task.projection.budget.on_the_way(dense, step / steps))
        tried = sorted(candidates, key=lambda group: _rise(task, group, widths, candidates[group]))[:proposals]
        if tried:
            scores = task.score_all([_completed(task, candidates[group]) for group in tried])
            widths = candidates[tried[int(np.argmax(scores))]]
    _climb(task)


def _narrowed(task: Task, widths: Component, budget: Budget) -> dict[int, Component]:
    """Return, for each group that can be narrower, the widths at which it alone was narrowed until a budget holds."""
    found = {}
    for group, ladder in enumerate(task.projection.ladders):
        lower = ladder[ladder < widths[group]]
        if len(lower):
            rows = np.tile(widths, (len(lower), 1))
            rows[:, group] = lower
            holding = [row for row in rows if budget.holds(task.network.cost.measure(row))]
            found[group] = holding[-1] if holding else rows[0]
    return found


def _rise(task: Task, group: int, before: Component, after: Component) -> float:
    """Return the rise of a group's error curve."""
    error = task.curves[group].error
    return float(error[after[group] - 1] - error[before[group] - 1])


def _completed(task: Task, widths: Component) -> Component:
    """Narrow all groups by one ratio until the limit holds."""
    return task.projection.of_family(lambda ratio: np.asarray(widths * ratio, np.float64), 0.0, 1.0)


def _climb(task: Task) -> None:
    rng = np.random.default_rng(task.seed)
    while True:
        task.score(exchange(task.projection, np.array(task.best.widths), _SHARE, rng))
