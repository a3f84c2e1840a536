"""Attributes that state a width for other methods than `forward`, such as one that fuses branches after training.

A probe cannot find them, because `forward` does not read them. They follow the channels that they are named after.
"""

import re
from collections.abc import Sequence

from torch import nn

from gnnrl.network.labels import Component
from gnnrl.network.structure import Binding, Network
from gnnrl.network.surgery import stated_sizes
from gnnrl.network.tracing.user_code import names_read_in_forward

_WIDTH = re.compile(
    r"(?P<side>in|out)_?(channels|chs|chans|features|planes|dim)|groups|(num_)?(channels|features)|planes|dim|embed_dim"
)


def followed_sizes(model: nn.Module, network: Network, bound: Sequence[Binding]) -> list[Binding]:
    """Bind attributes that are named as a width, and equal the number of channels of exactly one kind in their module.

    Attributes that any `forward` reads are left alone: the probes have decided about them.
    """
    read = names_read_in_forward(model)
    taken = {(binding.module, binding.attribute) for binding in bound}
    inside: dict[str, list[tuple[str, int]]] = {}
    for tensor, dim in network.owners:
        parts = tensor.split(".")[:-1]
        for depth in range(len(parts) + 1):
            inside.setdefault(".".join(parts[:depth]), []).append((tensor, dim))
    found = []
    for path, module in model.named_modules():
        if type(module).__module__.startswith("torch."):
            continue
        for attribute, position, size in stated_sizes(module):
            named = _WIDTH.fullmatch(attribute)
            if named and position is None and attribute not in read and (path, attribute) not in taken:
                owners = _owners(model, network, inside.get(path, ()), size, named["side"] or attribute)
                distinct = {owner.tobytes(): owner for owner in owners}
                if len(distinct) == 1 and (owner := distinct.popitem()[1]).any():
                    found.append(Binding(path, attribute, None, owner))
    return found


def _owners(
    model: nn.Module, network: Network, places: Sequence[tuple[str, int]], size: int, side: str
) -> list[Component]:
    """Return the channels of one side of the layers in a module, if there are `size` of them."""
    found: list[Component] = []
    grouped: list[Component] = []
    for tensor, dim in places:
        owner = network.owners[tensor, dim]
        layer = model.get_submodule(tensor.rpartition(".")[0])
        is_depthwise = getattr(layer, "groups", 1) == size
        if is_depthwise and len(owner) > size:
            # Each input has several outputs, which are removed together.
            owner = owner.reshape(size, -1)[:, 0]
        if len(owner) != size:
            continue
        is_layer = tensor.endswith("weight") and len(network.shapes[tensor]) > 1
        is_input = dim == (0 if "Transpose" in type(layer).__name__ else 1)
        # A depthwise convolution has its inputs along the dimension of its outputs.
        if side not in ("in", "out") or not is_layer or is_depthwise or is_input == (side == "in"):
            found.append(owner)
        grouped += [owner] if is_depthwise else []
    return grouped if side == "groups" and grouped else found
