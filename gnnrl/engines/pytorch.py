"""PyTorch itself as an engine: as it is, and compiled."""

from typing import Any

import torch
from torch import nn

from gnnrl.engines.engine import Runtime
from gnnrl.latency.measurement import forward_pass
from gnnrl.latency.stopwatch import Call
from gnnrl.modules.copies import copy_network


class Eager(Runtime):
    """PyTorch as it is."""

    name = "eager"

    def build(self, model: nn.Module, example_inputs: Any, precision: str = "fp32") -> Call:
        """Return a function that runs a copy of the network in evaluation mode."""
        network = self._prepared(copy_network(model).eval())
        return torch.no_grad()(forward_pass(network, example_inputs))

    def _prepared(self, model: nn.Module) -> Any:
        return model


class Compile(Eager):
    """`torch.compile`, which needs a C++ compiler, and up to minutes for a network."""

    name = "compile"

    def _prepared(self, model: nn.Module) -> Any:
        return torch.compile(model, dynamic=False)
