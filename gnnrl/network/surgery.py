"""Surgery: copies of a module, of the same class, with sliced parameters and buffers.

The original model is not changed. The copy is built from the sliced tensors, so weights are never copied whole.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from gnnrl.errors import VerificationError
from gnnrl.modules import attention as narrow_attention
from gnnrl.modules.copies import copy_network
from gnnrl.modules.modes import drop_caches, evaluating
from gnnrl.modules.spectral import settle
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network

Select = Callable[[Tensor, Mapping[int, Component]], Tensor]
"""Selects positions along some dimensions of a tensor."""


def remove(model: nn.Module, network: Network, kept: Sequence[ArrayLike], select: Select | None = None) -> nn.Module:
    """Copy a model with only the kept units, which are one array for each group."""
    alive = network.alive(kept)
    positions = network.positions(alive)
    keep: dict[str, dict[int, Component]] = {}
    for (name, dim), index in positions.items():
        keep.setdefault(name, {})[dim] = index
    stored = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    small = copy_network(
        model, {id(tensor): (select or _sliced)(tensor, keep.get(name, {})) for name, tensor in stored.items()}
    )
    drop_caches(small)
    if select is None:
        settle(small, {name for (name, dim), index in positions.items() if len(index) < stored[name].shape[dim]})
    update_attributes(small)
    for entry in network.stated(alive):
        restate(small, **entry)
    return small


def stated_sizes(module: nn.Module) -> list[tuple[str, int | None, int]]:
    """Find integers above one in a module's own attributes: (attribute, position in a tuple or list, value).

    torch's attention has none to find: `update_attributes` sets its attributes from its weights.
    """
    found: list[tuple[str, int | None, Any]] = []
    for name, value in () if isinstance(module, nn.MultiheadAttention) else vars(module).items():
        if not name.startswith("_") and name != "training":
            items = enumerate(value) if isinstance(value, tuple | list) else [(None, value)]
            found += [(name, position, item) for position, item in items]
    return [entry for entry in found if isinstance(entry[2], int) and entry[2] > 1]


def restate(model: nn.Module, module: str, attribute: str, position: int | None, size: int) -> None:
    """Set an attribute of a user's module to another size."""
    owner = model.get_submodule(module)
    value: Any = size
    if position is not None:
        items = list(before := getattr(owner, attribute))
        items[position] = size
        value = type(before)(items)
    setattr(owner, attribute, value)


def update_attributes(model: nn.Module) -> None:
    """Update the modules' attributes (`out_channels`, `num_features`, ...) from their weights.

    Computed weights (spectral norms) are read in evaluation mode, because reading them in training changes them.
    """
    with evaluating(model):
        for module in reversed(list(model.modules())):
            # torch's old `weight_norm` and `spectral_norm` compute the weight now, not in the next forward pass.
            for hook in module._forward_pre_hooks.values():
                if isinstance(hook, WeightNorm | SpectralNorm):
                    hook(module, ())
            for kind, update in _UPDATES.items():
                if isinstance(module, kind):
                    update(module)
                    break


def _sliced(tensor: Tensor, dims: Mapping[int, Component]) -> Tensor:
    result = tensor.detach()
    for dim, index in dims.items():
        if index.size == 0:
            raise VerificationError("a plan would leave a dimension without channels")
        result = result.index_select(dim, torch.from_numpy(index).to(tensor.device))
    result = result if dims else result.clone()
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(result, requires_grad=tensor.requires_grad)
    return result


def _convolution(module: Any) -> None:
    weight, transposed = module.weight, isinstance(module, nn.modules.conv._ConvTransposeNd)
    first, second = weight.shape[:2]
    if module.groups > 1:
        dense = module.in_channels if transposed else module.out_channels
        per_group = (module.out_channels if transposed else module.in_channels) // module.groups
        # As the rule of the tracer: whole groups are removed, or else the same channels of each.
        if transposed or module.groups >= per_group:
            module.groups = module.groups * first // dense
    second *= module.groups
    module.in_channels, module.out_channels = (first, second) if transposed else (second, first)


def _linear(module: Any) -> None:
    module.out_features, module.in_features = module.weight.shape


def _layer_norm(module: Any) -> None:
    if module.weight is not None:
        module.normalized_shape = tuple(module.weight.shape)


def _width(attribute: str, dim: int = 0) -> Callable[[Any], None]:
    """Return a function that sets an attribute of a module from its weight, or from its running mean."""

    def update(module: Any) -> None:
        known = module.weight if module.weight is not None else getattr(module, "running_mean", None)
        if known is not None:
            setattr(module, attribute, known.shape[dim])

    return update


def _recurrent(module: Any) -> None:
    rows, module.input_size = module.weight_ih_l0.shape
    gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
    module.hidden_size = rows // gates
    module.flatten_parameters()


def _recurrent_cell(module: Any) -> None:
    module.input_size = module.weight_ih.shape[1]
    module.hidden_size = module.weight_hh.shape[1]


_UPDATES: dict[type[nn.Module], Callable[[Any], None]] = {
    nn.modules.conv._ConvNd: _convolution,
    nn.Linear: _linear,
    nn.Embedding: _width("embedding_dim", 1),
    nn.modules.batchnorm._NormBase: _width("num_features"),
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _layer_norm,
    nn.GroupNorm: _width("num_channels"),
    nn.PReLU: _width("num_parameters"),
    nn.RNNBase: _recurrent,
    nn.RNNCellBase: _recurrent_cell,
    nn.MultiheadAttention: narrow_attention.update,
    nn.TransformerEncoder: narrow_attention.update_encoder,
}
