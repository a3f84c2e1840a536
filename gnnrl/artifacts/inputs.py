"""The inputs of an export, which are one call of a network, and the outputs of that call.

The batch is the first dimension of every tensor that is as long there as the first tensor with two or more dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_leaves, tree_map, tree_map_only

from gnnrl.errors import InputsError
from gnnrl.modules.copies import copy_network
from gnnrl.network.tracing.tracer import as_arguments, unwrapped


@dataclass(frozen=True, slots=True)
class Call:
    """Positional and keyword arguments of one forward pass, and the size of their batch."""

    args: tuple[Any, ...]
    kwargs: dict[str, object]
    batch: int

    @classmethod
    def of(cls, example_inputs: Any) -> "Call":
        """Make a call of a tensor, a tuple of positional or a dictionary of keyword arguments, on the CPU."""
        args, kwargs = tree_map_only(Tensor, lambda value: value.detach().cpu(), as_arguments(example_inputs))
        sizes = [
            int(leaf.shape[0]) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.ndim > 1
        ]
        return cls(args, kwargs, sizes[0] if sizes else 1)

    def batched(self, leaf: object) -> bool:
        """Return whether the first dimension of an argument is the batch."""
        return isinstance(leaf, Tensor) and leaf.ndim > 0 and leaf.shape[0] == self.batch

    def of_size(self, size: int) -> "Call":
        """Make a batch of another size from the samples of this one; repeated samples are rolled along a dimension."""

        def resized(leaf: Any) -> Any:
            if not self.batched(leaf):
                return leaf
            rounds = [leaf.roll(turn, -1) if leaf.ndim > 1 else leaf for turn in range(-(-size // self.batch))]
            return torch.cat(rounds)[:size]

        args, kwargs = tree_map(resized, (self.args, self.kwargs))
        return Call(args, kwargs, size)

    def by_parameter(self, model: nn.Module) -> dict[str, object]:
        """Return the arguments by the parameters of a network's `forward`."""
        return dict(signature(model.forward).bind(*self.args, **self.kwargs).arguments)

    def tensors(self) -> list[Tensor]:
        """Return all tensors among the arguments, in order."""
        return [leaf for leaf in tree_leaves((self.args, self.kwargs)) if isinstance(leaf, Tensor)]


def on_cpu(model: nn.Module) -> nn.Module:
    """Return the user's own network, or a copy if it is on another device."""
    model = unwrapped(model)
    devices = {tensor.device.type for tensor in (*model.parameters(), *model.buffers())}
    return model if devices <= {"cpu"} else copy_network(model).cpu()


@torch.no_grad()
def outputs(model: nn.Module, call: Call) -> list[Tensor]:
    """Run a network; return all tensors of its output, in order.

    Raises:
        InputsError: the network does not run on these inputs.
    """
    try:
        result = model(*call.args, **call.kwargs)
    except Exception as error:
        shapes = ", ".join(str(list(value.shape)) for value in call.tensors())
        raise InputsError(f"the network does not run on the example inputs ({shapes}): {error}") from error
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


def input_names(model: nn.Module, call: Call) -> list[str]:
    """Return names of the tensors among the arguments, from the parameters of the network's `forward`."""
    return _names(call.by_parameter(model), "input")


def output_names(model: nn.Module, call: Call) -> list[str]:
    """Return names of a network's output tensors: the keys of a dictionary, else `output`, numbered if several."""
    with torch.no_grad():
        return _names(model(*call.args, **call.kwargs), "output")


def _names(tree: Any, name: str) -> list[str]:
    paths = [path for path, leaf in tree_flatten_with_path(tree)[0] if isinstance(leaf, Tensor)]
    plain = [".".join(str(_key(entry)) for entry in path) for path in paths]
    return [name if not text else f"{name}_{text}" if text[0].isdigit() else text for text in plain]


def _key(entry: Any) -> Any:
    for attribute in ("key", "idx", "name"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return keystr((entry,)).strip(".[]'\"")


def differences(found: Sequence[Tensor], expected: Sequence[Tensor]) -> tuple[float, float]:
    """Return the largest difference over all outputs: absolute, and relative to the largest number of its output."""
    if any(a.shape != b.shape for a, b in zip(found, expected, strict=True)):
        return float("inf"), float("inf")
    pairs = [(a.double(), b.double()) for a, b in zip(found, expected, strict=True) if b.numel()]
    absolute = torch.stack([torch.zeros((), dtype=torch.float64), *((a - b).abs().max() for a, b in pairs)])
    scale = torch.stack([torch.ones((), dtype=torch.float64), *(b.abs().max() for _, b in pairs)])
    return float(absolute.max()), float((absolute / scale.clamp(min=torch.finfo(torch.float32).tiny)).max())
