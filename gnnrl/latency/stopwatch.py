"""Medians of interleaved repetitions: what else the machine does meets all candidates alike."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], Any]
Clock = Callable[[], float]


def median_seconds(
    makers: Sequence[Callable[[], Call]],
    *,
    rounds: int,
    repeats: int = 1,
    warm_up: int = 1,
    clock: Clock = perf_counter,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Time calls in turns; each is made anew in every round, since where its memory lies matters too.

    Args:
        makers: make a call that can be timed; what it holds is let go of after its turn.
        repeats: timed calls in a turn, after `warm_up` others.
        progress: called with (turns that are over, turns).

    Returns:
        the median of rounds x repeats times of each call.
    """
    times = np.empty((len(makers), rounds * repeats))
    for turn in range(rounds):
        for row, make in enumerate(makers):
            call = make()
            for _ in range(warm_up):
                call()
            for repeat in range(repeats):
                start = clock()
                call()
                times[row, turn * repeats + repeat] = clock() - start
            if progress:
                progress(turn * len(makers) + row + 1, rounds * len(makers))
    return np.asarray(np.median(times, 1))
