"""Layers of a network in blocks, before and after; equal blocks in a row are folded into runs.

A block is an instance of a motif (`gnnrl.network.hierarchy`); instances inside one element of a list, such as
`blocks.0.attn` and `blocks.0.mlp`, are one block here. Neighbouring layers of one module without a motif are one, too.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import prod

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gnnrl.network.hierarchy import find_hierarchy
from gnnrl.network.obstacles import first_reason, role
from gnnrl.network.structure import Network, Operation
from gnnrl.pruning.plan import Plan


class Layer(BaseModel):
    """A layer that multiplies: channels that it computes, and its share of the dense network's MACs.

    Attributes:
        kind: kind of the layer, such as "3×3 conv".
        macs, macs_left: its multiply-accumulates as shares of all those of the dense network.
        fixed: channels that no plan can remove.
        stays: the reason; empty if no channels are fixed.
        output: whether they are fixed as an output of the network.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    kind: str
    dense: int = Field(ge=0)
    pruned: int = Field(ge=0)
    macs: float
    macs_left: float
    fixed: int = 0
    stays: str = ""
    output: bool = False


class Block(BaseModel):
    """Layers that belong together."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    layers: tuple[Layer, ...]


class Run(BaseModel):
    """Blocks of one kind that follow each other."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    blocks: tuple[Block, ...] = Field(min_length=1)

    @property
    def name(self) -> str:
        """Names of the first and the last block."""
        first, last = self.blocks[0].name.split("."), self.blocks[-1].name.split(".")
        alike = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        return ".".join(first) if first == last else f"{'.'.join(first)} … {'.'.join(last[alike:])}"

    @property
    def layers(self) -> Iterator[Layer]:
        """All layers."""
        return (layer for block in self.blocks for layer in block.layers)

    @property
    def kinds(self) -> list[str]:
        """Kinds of the layers of each block."""
        return [layer.kind for layer in self.blocks[0].layers]


def find_runs(network: Network, plan: Plan | None = None) -> tuple[Run, ...]:
    """Arrange the layers of a network; without a plan, before and after are the same."""
    layers = _Layers(network, plan)
    order: list[tuple[str, list[int]]] = []
    for instance in find_hierarchy(network).instances:
        found = [number for number in instance.operations if layers.has(number)]
        if not found:
            continue
        name = _block_name(instance.name, alone=instance.name == layers.name(found[0]))
        if order and order[-1][0] == name:
            order[-1][1].extend(found)
        else:
            order.append((name, found))
    built = [
        Block(
            name=name if len(numbers) > 1 else layers.name(numbers[0]),
            layers=tuple(layers.layer(network.operations[number]) for number in sorted(numbers)),
        )
        for name, numbers in order
    ]
    alike = groupby(built, key=lambda block: tuple(layer.kind for layer in block.layers))
    return tuple(Run(blocks=tuple(members)) for _, members in alike)


def _block_name(name: str, *, alone: bool) -> str:
    """The element of a list that an instance is or lies in, else the module around a single layer, else itself."""
    parts = name.split(".")
    for end in range(len(parts) - alone, 0, -1):
        if re.search(r"(^|_)\d+$", parts[end - 1]):
            return ".".join(parts[:end])
    return ".".join(parts[:-1]) or name if alone else name


class _Layers:
    """Looks layers up: widths and costs before and after, and what froze them."""

    def __init__(self, network: Network, plan: Plan | None) -> None:
        self._network = network
        kept: Sequence[Sequence[int]] = [range(group.size) for group in network.groups]
        if plan is not None:
            kept = plan.kept or [range(width) for width in plan.widths]
        self._alive = network.alive([np.array(units) for units in kept])
        count = len(network.operations)
        widths = np.array([len(units) for units in kept], np.int64)
        before = network.cost.macs_by_operation(network.widths, count)
        total = max(float(before.sum()), 1.0)
        self._before: NDArray[np.float64] = before / total
        self._after: NDArray[np.float64] = network.cost.macs_by_operation(widths, count) / total
        self._frozen = {(place.tensor, place.dim): group for group in network.frozen for place in group.places}

    def has(self, number: int) -> bool:
        operation = self._network.operations[number]
        return "weight" in operation.parameters and (operation.name == "linear" or "conv" in operation.name)

    def name(self, number: int) -> str:
        operation = self._network.operations[number]
        return operation.module or operation.parameters["weight"]

    def layer(self, operation: Operation) -> Layer:
        weight = operation.parameters["weight"]
        shape = self._network.shapes[weight]
        dim = 1 if "transpose" in operation.name else 0
        owner = self._network.owners.get((weight, dim))
        fixed = shape[dim] if owner is None else int((owner == 0).sum())
        group = self._frozen.get((weight, dim)) if fixed else None
        return Layer(
            name=self.name(operation.index),
            kind=_kind(operation, shape),
            dense=shape[dim],
            pruned=shape[dim] if owner is None else int(self._alive[owner].sum()),
            macs=float(self._before[operation.index]),
            macs_left=float(self._after[operation.index]),
            fixed=fixed,
            stays="" if group is None else first_reason(group).text,
            output=group is not None and role(group) == "output",
        )


def _kind(operation: Operation, shape: tuple[int, ...]) -> str:
    if operation.name == "linear":
        return "linear"
    size = "×".join(str(number) for number in shape[2:]) or "1"
    groups = int(operation.settings.get("groups", 1) or 1)
    kind = "conv" if groups == 1 else "depthwise" if shape[1] == 1 else "grouped conv"
    if "transpose" in operation.name:
        kind = "transposed conv"
    stride = operation.settings.get("stride") or 1
    steps = stride if isinstance(stride, int) else prod(stride) ** (1 / max(len(stride), 1))
    return f"{size} {kind}" + (f" /{round(steps)}" if steps > 1.01 else "")
