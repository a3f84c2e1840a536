"""A masked network whose normalisations leave removed channels out, as those of the pruned network do.

Calls of torch are compared with the operations of the traced network: the n-th call of a function on a tensor of one
shape is the n-th such operation.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gnnrl.network.structure import Network, Operation
from gnnrl.network.tracing.calls import POWERS, reduced_dims, rescaled

_Key = tuple[str, tuple[int, ...]]
_NORMS = {"layer_norm", "rms_norm", "group_norm", "batch_norm"}
_SCALED = {"mul", "div"}
_OTHER_NAMES = {"true_divide": "div", "__rmul__": "mul"}


class LeavingOut(TorchFunctionMode):
    """Mode in which normalisations of a masked network leave removed channels out.

    Attributes:
        is_needed: whether the network has such normalisations.
    """

    def __init__(self, network: Network, alive: NDArray[Any]) -> None:
        super().__init__()
        self._numbers = rescaled(network, alive)
        self._kept = {each.index: _left(each, alive) for each in network.operations if _is_average(each)}
        self._waiting: dict[_Key, list[Operation]] = {}
        for operation in network.operations:
            shape = operation.averaged[0] if operation.averaged else operation.shape
            if operation.index in self._kept or operation.index in self._numbers:
                self._waiting.setdefault((operation.name, shape), []).append(operation)
        self._names = {name for name, _ in self._waiting}
        self._is_lost = False
        self.is_needed = bool(self._numbers) or any(self._kept.values())

    @property
    def is_complete(self) -> bool:
        """Return whether every normalisation of the network was met."""
        return not self._is_lost and not any(self._waiting.values())

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a call without the removed channels if it is one of the network's normalisations."""
        given = dict(kwargs or {})
        name = getattr(func, "__name__", "").removesuffix("_")
        name = _OTHER_NAMES.get(name, name)
        value = args[0] if args and isinstance(args[0], Tensor) else given.get("input")
        if name not in self._names or not isinstance(value, Tensor):
            return func(*args, **given)
        waiting = self._waiting.get((name, tuple(value.shape)))
        if name in _SCALED:
            return func(*self._scaled(waiting, args), **given)
        if not waiting:
            self._is_lost = self._is_lost or waiting is not None
            return func(*args, **given)
        kept = {dim: index.to(value.device) for dim, index in self._kept[waiting.pop(0).index].items()}
        if not kept:
            return func(*args, **given)
        if name in _NORMS:
            return _normed(func, value, kept, args, given)
        return func(_chosen(value, kept), *args[1:], **{key: each for key, each in given.items() if key != "input"})

    def _scaled(self, waiting: list[Operation] | None, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return arguments with the number of the narrower network, if the call makes an average of a sum or length."""
        number = next((arg for arg in args[1:] if isinstance(arg, int | float)), None)
        if not waiting or number is None or waiting[0].settings["other"] != number:
            return args
        return args[0], self._numbers[waiting.pop(0).index], *args[2:]


def _is_average(operation: Operation) -> bool:
    """Return whether zeros change what an operation computes; they add nothing to a sum or a length."""
    return operation.averaged is not None and operation.name not in POWERS


def _left(operation: Operation, alive: NDArray[Any]) -> dict[int, Tensor]:
    """Return the positions that stay along each dimension that an operation averages over and that loses some."""
    assert operation.averaged is not None
    shape, axes = operation.averaged
    rank = len(shape)
    if operation.name == "layer_norm" or operation.name == "rms_norm":
        worked = list(range(rank - len(operation.settings["normalized_shape"]), rank))
    elif operation.name == "group_norm":
        worked = list(range(1, rank))
    elif operation.name == "batch_norm":
        worked = [0, *range(2, rank)]
    else:
        worked = reduced_dims(operation)
    stay = {axis.dim: torch.from_numpy(alive[axis.owner].nonzero()[0]) for axis in axes if axis.dim in worked}
    return {dim: index for dim, index in stay.items() if len(index) < shape[dim]}


def _chosen(value: Tensor, kept: Mapping[int, Tensor]) -> Tensor:
    for dim, index in kept.items():
        value = value.index_select(dim, index)
    return value


def _normed(
    func: Callable[..., Any], value: Tensor, kept: Mapping[int, Tensor], args: tuple[Any, ...], given: dict[str, Any]
) -> Tensor:
    """Normalise the channels that stay along one dimension, and put zeros between them."""
    ((dim, index),) = kept.items()
    bound = signature(func).bind(*args, **given)
    bound.apply_defaults()
    values = bound.arguments
    values["input"] = value.index_select(dim, index)
    if "normalized_shape" in values:
        values["normalized_shape"] = (len(index),)
    if values.get("num_groups") == value.shape[dim]:
        values["num_groups"] = len(index)
    for name in ("weight", "bias") if func.__name__ != "batch_norm" else ():
        if values.get(name) is not None:
            values[name] = values[name][index]
    return torch.zeros_like(value).index_copy(dim, index, func(*bound.args, **bound.kwargs))
