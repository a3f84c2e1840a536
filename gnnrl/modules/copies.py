"""Copies of networks in any state."""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from gnnrl.errors import ConfigError, first_line
from gnnrl.modules.closures import check_functions


def copy_network(model: nn.Module, tensors: Mapping[int, Tensor] | None = None) -> nn.Module:
    """Copy a model, and replace some of its tensors.

    `deepcopy` refuses the weights that torch's old `weight_norm` and `spectral_norm` computed in the last forward pass.
    They are copied as plain tensors, because the next forward pass computes them again. Empty dictionaries of hooks are
    copied here because `deepcopy` is slow with them, and every module has a dozen.

    Args:
        tensors: replacements, by the id of the tensor that they replace.

    Raises:
        ConfigError: an attribute of the network cannot be copied.
    """
    check_functions(model)
    memo: dict[int, Any] = dict(tensors or {})
    for module in model.modules():
        for value in vars(module).values():
            if type(value) in (dict, OrderedDict, set, list) and not value:
                memo[id(value)] = type(value)()
            elif isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(model, memo)
    except TypeError as error:
        raise ConfigError(
            f"{type(model).__name__} cannot be copied ({error}): one of its attributes is a lock, an open file or the "
            "like. Keep it out of the network, or define how its class is copied (__deepcopy__)"
        ) from error


def copied(values: Any) -> Any:
    """Return the same structure with copies of its tensors: a forward may write to its inputs."""
    return tree_map_only(Tensor, Tensor.clone, values)


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a network's parameters; the CPU if it has none."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def on_device(model: nn.Module, device: str | torch.device) -> nn.Module:
    """Move a model.

    Raises:
        ConfigError: nothing can be computed there.
    """
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {str(device)!r} cannot be used here ({first_line(error)}); choose another"
        ) from error
