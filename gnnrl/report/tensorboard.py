"""A search in TensorBoard: a callback for `compress(on_trial=...)` that writes each plan as it is judged."""

import math
from collections.abc import Callable
from typing import Protocol

from gnnrl.scoring.plans import Trial


class Writer(Protocol):
    """The part that is used of a `torch.utils.tensorboard.SummaryWriter`."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> object:
        """Write one number."""


def log_trials(writer: Writer, prefix: str = "search") -> Callable[[Trial], None]:
    """Make a callback that writes score, best score so far, MACs and seconds of every plan.

    Args:
        writer: a `SummaryWriter`, which is the caller's to open and to close.
        prefix: of the names of the curves, to tell several searches apart.
    """
    best = -math.inf

    def write(trial: Trial) -> None:
        nonlocal best
        best = max(best, trial.score)
        values = {"score": trial.score, "best": best, "macs": float(trial.macs), "seconds": trial.seconds}
        for name, value in values.items():
            writer.add_scalar(f"{prefix}/{name}", value, trial.number)

    return write
