"""Schedules of the learning rate."""

import math
from typing import Literal

Schedule = Literal["one-cycle", "cosine", "constant"]

WARM_UP = 0.3
WARM_UP_FROM = 1 / 25


def rate_at(progress: float, peak: float, schedule: Schedule) -> float:
    """Return the learning rate after a share of the steps (one-cycle: Smith & Topin 2017, arXiv:1708.07120)."""
    if schedule == "constant":
        return peak
    if schedule == "one-cycle":
        if progress < WARM_UP:
            return peak * (WARM_UP_FROM + (1 - WARM_UP_FROM) * progress / WARM_UP)
        progress = (progress - WARM_UP) / (1 - WARM_UP)
    return peak * (1 + math.cos(math.pi * progress)) / 2
