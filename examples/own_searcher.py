"""A searcher of one's own: hill climbing, in a dozen lines, compared with random search.

    python examples/own_searcher.py
    gnnrl prune --searcher examples/own_searcher.py:climb ...

A package offers it to everybody under a name with an entry point in its pyproject.toml:

    [project.entry-points."gnnrl.searchers"]
    climb = "my_package.search:climb"
"""

import numpy as np
from digits import judges, load_digits

from gnnrl import compare
from gnnrl.searchers.task import Task
from gnnrl.zoo.models import example_inputs


def climb(task: Task) -> None:
    """Move a little from the best plan so far; `task.score` ends the search when its evaluations are spent."""
    rng = np.random.default_rng(task.seed)
    best = task.prior(task.projection)
    score = task.score(best)
    while True:
        wish = rng.normal(0, 0.3, len(best))
        widths = task.projection.around(best, wish)
        found = task.score(widths)
        if found > score:
            best, score = widths, found


def main(episodes: int = 20) -> None:
    """Compare on the embedded digits."""
    model, digits = load_digits()
    comparison = compare(
        model,
        example_inputs("digits-resnet"),
        "macs<=50%",
        **judges(digits),
        searchers=[climb, "random", "curves"],
        seeds=[0],
        episodes=episodes,
    )
    for row in comparison.rows():
        print(f"{row.searcher:8} {row.evaluations:3} evaluations  best reward {row.reward:.4f}  test {row.test:.2%}")


if __name__ == "__main__":
    main()
