"""A masked network whose normalisations leave removed channels out, as those of the pruned network do.

Calls of torch are compared with the operations of the traced network: the n-th call of a function is the n-th operation
of its name.
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

_Key = str | tuple[str, tuple[int, ...], float]
_NORMS = {"layer_norm", "rms_norm", "group_norm", "batch_norm"}
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
        self.is_needed = bool(self._numbers) or any(self._kept.values())
        scaled = {_scaling(network.operations[index]) for index in self._numbers}
        names = {network.operations[index].name for index in self._kept}
        self._waiting: dict[_Key, list[Operation]] = {}
        for each in network.operations:
            key = each.name if each.name in names else _scaling(each)
            if key in names | scaled:
                self._waiting.setdefault(key, []).append(each)
        self._is_lost = False

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
        value = args[0] if args else given.get("input")
        numbers = [float(arg) for arg in args[1:2] if isinstance(arg, int | float)]
        key: _Key = name
        if name in ("mul", "div") and numbers and isinstance(value, Tensor):
            key = name, tuple(value.shape), numbers[0]
        if not isinstance(value, Tensor) or key not in self._waiting:
            return func(*args, **given)
        if not self._waiting[key]:
            self._is_lost = True
            return func(*args, **given)
        operation = self._waiting[key].pop(0)
        if operation.index in self._numbers:
            return func(value, self._numbers[operation.index], *args[2:], **given)
        kept = {dim: index.to(value.device) for dim, index in self._kept.get(operation.index, {}).items()}
        if not kept:
            return func(*args, **given)
        if operation.averaged is None or tuple(value.shape) != operation.averaged[0]:
            self._is_lost = True
            return func(*args, **given)
        if name in _NORMS:
            return _normed(func, value, kept, args, given)
        return func(_chosen(value, kept), *args[1:], **{key: each for key, each in given.items() if key != "input"})


def _scaling(operation: Operation) -> _Key:
    """Return name, shape and number of a product with one number, by which its call is known; "" for any other."""
    number = operation.settings.get("other")
    is_one = operation.name in ("mul", "div") and isinstance(number, int | float)
    return (operation.name, operation.shape, float(number)) if is_one else ""  # type: ignore[arg-type]


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
