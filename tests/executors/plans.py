"""What the executors' contract is tested with: an evaluation that misbehaves where the first width says so."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from torch import nn

from gnnrl.scoring.plans import Executor, Scorer
from tests.topologies import traced

CASE = traced("residual")
FAILS, NAN, DIES_ONCE, DIES, SLOW_ONCE, HANGS = 7, 8, 9, 10, 11, 12


@dataclass(frozen=True)
class Moody:
    """The second width as the score, unless the first one tells otherwise; every call leaves a mark in a folder."""

    folder: Path
    seconds: float = 0.0

    def __call__(self, model: nn.Module) -> float:
        first, second = model[0][0].weight.shape[0], model[1].conv1[0].weight.shape[0]
        calls = sum(mark.name.startswith(f"{first}-{second}-") for mark in self.folder.iterdir())
        (self.folder / f"{first}-{second}-{time.monotonic_ns()}").touch()
        if first == FAILS:
            raise KeyError("mood")
        if first == DIES or (first == DIES_ONCE and not calls):
            os._exit(3)
        if first == HANGS or (first == SLOW_ONCE and not calls):
            time.sleep(60)
        time.sleep(self.seconds)
        return float("nan") if first == NAN else float(second)

    def calls(self, first: int) -> int:
        """How often plans with this first width were judged."""
        return sum(mark.name.startswith(f"{first}-") for mark in self.folder.iterdir())


@dataclass(frozen=True)
class Locked:
    """Nothing that can be sent anywhere."""

    lock: object

    def __call__(self, model: nn.Module) -> float:
        return 0.0


def judge(evaluate) -> Scorer:
    return Scorer(CASE.model, CASE.network, evaluate, [np.arange(12)] * 3, repair="none")


def locked() -> Scorer:
    return judge(Locked(Lock()))


def scores(executor: Executor, *plans: tuple[int, int]) -> list[float]:
    return [judgement.score for judgement in executor.map([(*plan, 3) for plan in plans])]
