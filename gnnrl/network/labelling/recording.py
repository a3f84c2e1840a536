"""Operations of a program as the traced network records them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx

from gnnrl.network.labelling.groups import Grouping
from gnnrl.network.labelling.operations.call import Call
from gnnrl.network.labels import Value, squeeze_fixed, wide
from gnnrl.network.structure import Axis, Operation


def recorded(call: Call, modules: tuple[tuple[str, str], ...], index: Mapping[fx.Node, int]) -> Operation:
    """Return the record of a call, without axes, which are known when all labels are.

    Args:
        index: index of each node's operation.
    """
    sources = [source for source in call.node.all_input_nodes if index.get(source, -1) >= 0]
    plain = (int, float, bool, str, list, tuple, type(None))
    named = {name: call.values.get(arg) for name, arg in call.arguments.items() if isinstance(arg, fx.Node)}
    for name, args in call.arguments.items():
        nodes = enumerate(args) if isinstance(args, list | tuple) else ()
        named |= {f"{name}.{at}": call.values.get(arg) for at, arg in nodes if isinstance(arg, fx.Node)}
    return Operation(
        index=call.index,
        name=call.name.removesuffix("_") if not call.name.startswith("_") else call.name,
        module=call.module,
        modules=modules,
        location=call.location,
        inputs=tuple(dict.fromkeys(index[source] for source in sources)),
        parameters={name: value for name, value in named.items() if isinstance(value, str)},
        settings={
            name: value
            for name, value in call.arguments.items()
            if isinstance(value, plain) and not _mentions_nodes(value)
        },
        shape=call.shape,
    )


def axes_of(value: Value, found: Grouping) -> tuple[Axis, ...]:
    """Return the dimensions that a plan can shorten. Ties left each component varying along one dimension."""
    axes = []
    for component in value.components:
        owner = squeeze_fixed(found.table[component])
        if len(dims := wide(owner)) == 1:
            axes.append(Axis(dims.pop(), owner.ravel()))
    return tuple(axes)


def fingerprint_of(
    shapes: Mapping[str, tuple[int, ...]], operations: Sequence[Operation], outputs: tuple[int, ...] | None
) -> str:
    """Return a digest of the shapes of all tensors, the operations, and the outputs that count."""
    digest = hashlib.sha256()
    for name, shape in shapes.items():
        digest.update(f"{name}{shape};".encode())
    for operation in operations:
        digest.update(f"{operation.name}{operation.inputs};".encode())
    if outputs is not None:
        digest.update(f"{outputs}".encode())
    return digest.hexdigest()[:16]


def _mentions_nodes(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(item, fx.Node) for item in value)
