"""Medians of interleaved repetitions: other work of the machine slows all candidates alike."""

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
    """Time calls in turns; each is made again in every round, because the place of its memory matters too.

    Args:
        makers: functions that make a call to time; the call is released after its turn.
        repeats: timed calls in a turn, after `warm_up` others.
        progress: called with (turns done, turns in all).

    Returns:
        The median of rounds x repeats times of each call.
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
