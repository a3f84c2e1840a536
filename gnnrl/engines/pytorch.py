"""PyTorch itself as an engine: as it is, and compiled."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnrl.engines.engine import Call, Runtime
from gnnrl.modules.copies import copy_network
from gnnrl.network.tracing.tracer import as_arguments


class Eager(Runtime):
    """PyTorch as it is."""

    name = "eager"

    def build(self, model: nn.Module, example_inputs: Any, precision: str = "fp32") -> Call:
        """Return a function that runs a copy of the network in evaluation mode."""
        network = self._prepared(copy_network(model).eval())
        args, kwargs = as_arguments(example_inputs)
        on_gpu = any(isinstance(leaf, Tensor) and leaf.is_cuda for leaf in tree_leaves(example_inputs))

        @torch.no_grad()
        def call() -> Any:
            result = network(*args, **kwargs)
            if on_gpu:
                torch.cuda.synchronize()
            return result

        return call

    def _prepared(self, model: nn.Module) -> Any:
        return model


class Compile(Eager):
    """`torch.compile`, which needs a C++ compiler, and up to minutes for a network."""

    name = "compile"

    def _prepared(self, model: nn.Module) -> Any:
        return torch.compile(model, dynamic=False)
