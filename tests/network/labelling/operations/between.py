"""One operation between a layer of 8 channels and its reader: what goes together, or why nothing may go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.reasons import Kind
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.verification import verify
from tests.topologies import images


class Between(nn.Module):
    """A convolution to 8 channels, an operation, and a convolution or linear layer that reads its result."""

    def __init__(self, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.make = nn.Conv2d(3, 8, 3, padding=1)
        self.operation = operation
        made = operation(torch.zeros(2, 8, 4, 4))
        self.image = made.ndim == 4
        self.read = nn.Conv2d(made.shape[1], 3, 1) if self.image else nn.Linear(made.shape[-1], 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.operation(self.make(x)))


@dataclass(frozen=True)
class Case:
    """Units that remain removable in the layer before the operation (0: none), and why if there are none."""

    operation: Callable[[Tensor], Tensor]
    units: int
    kind: Kind | None = None


def named(cases: Mapping[str, Case]) -> list[Any]:
    """Return cases as parameters of a test, each by its name."""
    return [pytest.param(case, id=name) for name, case in cases.items()]


def traced(case: Case) -> tuple[Between, Network]:
    torch.manual_seed(0)
    model = Between(case.operation).eval()
    return model, trace(model, images(size=4))


def check_units(case: Case) -> None:
    """Check how many units of the layer can go, and why none can."""
    _, network = traced(case)
    found = [group for group in network.groups if any(place.tensor == "make.weight" for place in group.places)]

    assert [group.size for group in found] == ([case.units] if case.units else [])
    if not case.units:
        frozen = [g for g in network.frozen if any(place.tensor == "make.weight" for place in g.places)]
        assert frozen
        assert case.kind in {None, *(reason.kind for group in frozen for reason in group.reasons)}


def check_removing(case: Case, seed: int) -> None:
    """Check that the network without half of the units computes what the network with zeros for them computes."""
    model, network = traced(case)
    rng = np.random.default_rng(seed)
    kept = [np.sort(rng.permutation(group.size)[: max(1, group.size // 2)]) for group in network.groups]

    verify(model, remove(model, network, kept), network, kept, images(size=4))
