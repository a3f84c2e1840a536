"""A search whose best plan is known: the score of a plan is how near its widths are to a target."""

import numpy as np
import torch
from torch import nn

from gnnrl.network.labels import Component
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.importance import importance
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from gnnrl.scoring.plans import Scored, Scorer, Seconds
from gnnrl.searchers.task import Task
from tests.topologies import Head, Traced, conv, images


def wide() -> Traced:
    """Four groups of 16 to 48 channels, so that there are many plans."""
    torch.manual_seed(0)
    model = nn.Sequential(conv(3, 16), conv(16, 32), conv(32, 48), conv(48, 24), Head(24)).eval()
    return Traced("wide", model, images(), trace(model, images()))


CASE = wide()
TARGET = np.array([16, 8, 40, 4])


class Synthetic:
    """A score that needs no network: how near the widths are to a target, 0 at best; notes what was judged together."""

    def __init__(self, target: Component, widths: Component) -> None:
        self.target, self.widths = target, widths
        self.batches: list[int] = []

    def start(self, scorer: Scorer) -> None:
        """Nothing is needed."""

    def map(self, plans):
        self.batches.append(len(plans))
        for widths in plans:
            score = -float(np.abs((np.array(widths) - self.target) / self.widths).sum())
            yield Scored(score, 0, 0.0, Seconds())

    def close(self) -> None:
        """Nothing runs."""


def task(
    evaluations: int = 12,
    seed: int = 0,
    constraint: str = "macs<=60%",
    rules: WidthRules | None = None,
    case: Traced = CASE,
    target: Component = TARGET,
) -> Task:
    network = case.network
    scores = importance("l2", case.model, network)
    curves = error_curves(case.model, network, None)
    scorer = Scorer(case.model, network, lambda model: 0.0, [curve.order for curve in curves], repair="none")
    projection, executor = Projection.build(network, constraint, rules), Synthetic(target, network.widths)
    return Task(projection, scorer, curves, scores, evaluations, seed, executor=executor)


def batches(work: Task) -> list[int]:
    assert isinstance(work.executor, Synthetic)
    return work.executor.batches
