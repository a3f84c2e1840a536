"""What a toy is: a small network of a shape that tests of other projects hold, with what must be found in it."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gnnrl.network.tracing.tracer import trace
from tests.topologies import Module, Topology, Traced, randomise


@dataclass(frozen=True)
class Toy:
    """How a toy is built, whose cases it stands for, and how many groups must be found in it at least.

    Attributes:
        groups: widths that ModelOpt finds in its own, where that is a case of ModelOpt's.
    """

    build: Callable[[], tuple[nn.Module, Any]]
    cases: str
    groups: int


TOYS: dict[str, Toy] = {}


def toy(cases: str, groups: int) -> Callable[[Callable[[], tuple[nn.Module, Any]]], Callable[[], Any]]:
    """Register a toy under the name of the function that builds it."""

    def register(build: Callable[[], tuple[nn.Module, Any]]) -> Callable[[], Any]:
        assert build.__name__ not in TOYS
        TOYS[build.__name__] = Toy(build, cases, groups)
        return build

    return register


class Inputs(Module):
    """A network of several inputs given as a function of its layers."""

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.run(self, *inputs, **named)


def traced_toy(name: str) -> Traced:
    """Build and trace a toy; equal names give equal weights."""
    torch.manual_seed(zlib.crc32(name.encode()))
    model, inputs = TOYS[name].build()
    randomise(model)
    case = Topology(name, model.eval(), inputs)
    return Traced(name, case.model, inputs, trace(case.model, inputs))
