"""What the laws compare: outputs in double precision, and a network that leaves channels out."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from gnnrl.network.tracing.tracer import as_arguments


def run(model: nn.Module, example_inputs: Any) -> list[Tensor]:
    args, kwargs = as_arguments(example_inputs)
    return [leaf for leaf in tree_leaves(model(*args, **kwargs)) if isinstance(leaf, Tensor)]


def double(inputs: Any) -> Any:
    return tree_map_only(Tensor, lambda value: value.double() if value.is_floating_point() else value, inputs)


class LeaveOut(TorchFunctionMode):
    """Normalisations over channels leave out those whose scale was masked."""

    NAMES = ("input", "size", "weight", "bias", "eps")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.rms_norm:
            value, _, weight, eps = (*args, *(kwargs or {}).values())
            keep = (weight != 0).nonzero().flatten()
            kept = func(value.index_select(-1, keep), (len(keep),), weight[keep], eps)
            return torch.zeros_like(value).index_copy(-1, keep, kept)
        if func not in (F.layer_norm, F.group_norm):
            return func(*args, **(kwargs or {}))
        given = {"eps": 1e-5, **dict(zip(self.NAMES, args, strict=False)), **(kwargs or {})}
        value, weight, bias, eps = (given[name] for name in ("input", "weight", "bias", "eps"))
        dim = -1 if func is F.layer_norm else 1
        scale = value.movedim(dim, -1).flatten(0, -2).abs().amax(0) if weight is None else weight
        keep = (scale != 0).nonzero().flatten()
        size = given.get("num_groups", given.get("size"))
        if func is F.layer_norm or size == value.shape[dim]:
            size = len(keep) if func is F.group_norm else (len(keep),)
        affine = (None, None) if weight is None else (weight[keep], bias[keep])
        kept = func(value.index_select(dim, keep), size, *affine, eps)
        return torch.zeros_like(value).index_copy(dim, keep, kept)
