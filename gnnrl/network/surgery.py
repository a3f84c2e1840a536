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
    found: list[tuple[str, int | None, int]] = []
    if isinstance(module, nn.MultiheadAttention):
        return found
    for name, value in vars(module).items():
        if name.startswith("_") or name == "training":
            continue
        if isinstance(value, int) and not isinstance(value, bool) and value > 1:
            found.append((name, None, value))
        elif isinstance(value, tuple | list):
            found += [
                (name, position, item)
                for position, item in enumerate(value)
                if isinstance(item, int) and not isinstance(item, bool) and item > 1
            ]
    return found


def restate(model: nn.Module, module: str, attribute: str, position: int | None, size: int) -> None:
    """Set an attribute of a user's module to another size."""
    owner = model.get_submodule(module)
    if position is None:
        setattr(owner, attribute, size)
        return
    items = list(getattr(owner, attribute))
    items[position] = size
    setattr(owner, attribute, type(getattr(owner, attribute))(items))


def update_attributes(model: nn.Module) -> None:
    """Update the modules' attributes (`out_channels`, `num_features`, ...) from their weights.

    Computed weights (spectral norms) are read in evaluation mode, because reading them in training changes them.
    """
    with evaluating(model):
        for module in reversed(list(model.modules())):
            _recompute(module)
            update = _UPDATES.get(type(module)) or next(
                (change for kind, change in _UPDATES.items() if isinstance(module, kind)), None
            )
            if update:
                update(module)


def _recompute(module: nn.Module) -> None:
    """Make torch's old `weight_norm` and `spectral_norm` compute the weight now, not in the next forward pass."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm | SpectralNorm):
            hook(module, ())


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


def _embedding(module: Any) -> None:
    module.embedding_dim = module.weight.shape[1]


def _batch_norm(module: Any) -> None:
    known = module.weight if module.weight is not None else module.running_mean
    if known is not None:
        module.num_features = known.shape[0]


def _layer_norm(module: Any) -> None:
    if module.weight is not None:
        module.normalized_shape = tuple(module.weight.shape)


def _group_norm(module: Any) -> None:
    if module.weight is not None:
        module.num_channels = module.weight.shape[0]


def _prelu(module: Any) -> None:
    module.num_parameters = module.weight.shape[0]


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
    nn.Embedding: _embedding,
    nn.modules.batchnorm._NormBase: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.PReLU: _prelu,
    nn.RNNBase: _recurrent,
    nn.RNNCellBase: _recurrent_cell,
    nn.MultiheadAttention: narrow_attention.update,
    nn.TransformerEncoder: narrow_attention.update_encoder,
}
