"""Copies of networks, in whatever state they are."""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from gnnrl.errors import ConfigError


def copy_network(model: nn.Module, tensors: Mapping[int, Tensor] | None = None) -> nn.Module:
    """Copy a model, with other tensors, by the id of its own, in their place.

    Weights that torch's old `weight_norm` and `spectral_norm` computed for the last forward pass, which `deepcopy`
    refuses, are copied without what they were computed from: the next forward pass computes them again. A module holds
    a dozen empty dictionaries of hooks, which `deepcopy` would take apart one by one.

    Raises:
        ConfigError: an attribute of the network cannot be copied.
    """
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
            f"{type(model).__name__} cannot be copied ({error}): an attribute of it is a lock, an open file or the "
            "like. Leave it out of the network, or say in its class how it is copied (__deepcopy__)"
        ) from error
