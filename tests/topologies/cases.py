"""What a topology is: a small network with inputs, registered by the function that builds it.

All are seeded, none is trained. Normalisations have statistics, scales and shifts that are far from (0, 1, 1, 0): with
fresh ones many laws hold by accident.
"""

import copy
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace


@dataclass(frozen=True, eq=False)
class Topology:
    """A network and inputs that it runs on."""

    name: str
    model: nn.Module
    example_inputs: Any


@dataclass(frozen=True, eq=False)
class Traced(Topology):
    """A topology with what `trace` says of it."""

    network: Network


TOPOLOGIES: dict[str, Callable[[], tuple[nn.Module, Any]]] = {}


NOTHING_TO_PRUNE = {"without_rule", "einsum", "maxout"}


def topology(name: str) -> Topology:
    """Build a topology; equal names give equal weights."""
    torch.manual_seed(zlib.crc32(name.encode()))
    model, inputs = TOPOLOGIES[name]()
    randomise(model)
    return Topology(name, model.eval(), inputs)


@cache
def traced(name: str) -> Traced:
    """Build and trace a topology, once; nobody may change its model."""
    built = topology(name)
    return Traced(name, built.model, built.example_inputs, trace(built.model, built.example_inputs))


def randomise(model: nn.Module) -> None:
    """Give every normalisation (and every vector of scales) values that are not trivial."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif name.endswith("running_mean"):
                tensor.normal_(0.0, 0.5)
            elif tensor.ndim == 1 and name.endswith(("weight", "gamma")):
                tensor.copy_(torch.empty_like(tensor).uniform_(0.5, 1.5) * torch.randn_like(tensor).sign())
            elif tensor.ndim == 1:
                tensor.normal_(0.0, 0.5)


def fixture(build: Callable[[], tuple[nn.Module, Any]]) -> Callable[[], tuple[nn.Module, Any]]:
    """Register a topology under the name of the function that builds it."""
    assert build.__name__ not in TOPOLOGIES
    TOPOLOGIES[build.__name__] = build
    return build


def fresh(case: Topology) -> nn.Module:
    """A copy of a topology's model that a test may change."""
    return copy.deepcopy(case.model)
