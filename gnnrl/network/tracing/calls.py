"""Calls of torch in a forward pass: logged for the dense network, and checked against that log for a narrower one."""

from collections.abc import Callable, Iterator, Sequence
from math import isclose, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from gnnrl.network.reasons import Kind, Reason
from gnnrl.network.structure import Axis, Network, Operation

_Shape = tuple[int, ...]
Cut = tuple[_Shape, ...]
"""Shapes of the parts that one call cuts a tensor into."""

_CHECKS = {"_is_all_true", "_is_any_true", "_assert_async", "_assert_scalar"}
"""Operations to which the checks of torch, such as `torch._check_tensor_all`, lead."""
_CUTTING = {"__getitem__", "narrow", "split", "split_with_sizes", "select", "unsqueeze"}
_RANGES = {"slice", "select", "unsqueeze", "index"}
"""Operations that one indexing in Python, such as `x[:, :8, None, 0]`, can become in the program."""


def shapes_of(output: Any) -> list[_Shape]:
    """Return the shapes of all tensors in a result."""
    return [tuple(leaf.shape) for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def _shapes_after(network: Network, alive: NDArray[np.bool_]) -> dict[tuple[str, _Shape], set[_Shape]]:
    """Return the shapes of results in a narrower network, by name of the operation and dense shape.

    The sizes of results that are filled with one number are not known; an operation that reads them checks them.
    """
    found: dict[tuple[str, _Shape], set[_Shape]] = {}
    for operation in network.operations:
        after = _after(operation.shape, operation.axes, alive)
        found.setdefault((operation.name, operation.shape), set()).add(after)
    filled = {(operation.name, operation.shape) for operation in network.operations if operation.is_filled}
    return {key: after for key, after in found.items() if key not in filled}


def _only_checked(network: Network) -> set[tuple[str, _Shape]]:
    """Return name and dense shape of operations whose results only decide whether the user's code raises an error."""
    if not any(operation.name in _CHECKS for operation in network.operations):
        return set()
    readers: dict[int, list[int]] = {}
    for operation in network.operations:
        for index in operation.inputs:
            readers.setdefault(index, []).append(operation.index)
    checks: set[int] = set()
    for operation in reversed(network.operations):
        read = readers.get(operation.index, [])
        if checks.issuperset(read) if read else operation.name in _CHECKS:
            checks.add(operation.index)
    other = {(operation.name, operation.shape) for operation in network.operations if operation.index not in checks}
    return {(network.operations[index].name, network.operations[index].shape) for index in checks} - other


def _after(shape: _Shape, axes: Sequence[Axis], alive: NDArray[np.bool_]) -> _Shape:
    sizes = list(shape)
    for axis in axes:
        sizes[axis.dim] = int(alive[axis.owner].sum())
    return tuple(sizes)


def _cuts(network: Network) -> Iterator[list[Operation]]:
    """Yield operations that cut tensors, in the order of the program. One indexing in Python is one list."""
    chain: list[Operation] = []
    for operation in network.operations:
        if operation.name not in _RANGES | _CUTTING:
            continue
        follows = chain and operation.inputs[:1] == (chain[-1].index,) and operation.location == chain[-1].location
        if follows and {operation.name, chain[-1].name} <= _RANGES:
            chain.append(operation)
            continue
        if chain:
            yield chain
        chain = [operation]
    if chain:
        yield chain


def _key(operation: Operation) -> Cut:
    return tuple(shape for shape, _ in operation.results)


def _cuts_after(network: Network, alive: NDArray[np.bool_]) -> dict[Cut, list[Cut]]:
    """Return the shapes of the parts of cut tensors in a narrower network, by their dense shapes, in order."""
    found: dict[Cut, list[Cut]] = {}
    for *_, last in (chain for chain in _cuts(network) if not chain[-1].is_filled):
        found.setdefault(_key(last), []).append(tuple(_after(*result, alive) for result in last.results))
    return found


def unfollowed(network: Network, dense: "CallLog") -> dict[int, Reason]:
    """Return the groups in parts that the program cuts by positions, if the calls of the code show other cuts.

    There is nothing to compare such a part with in a narrower network, so these groups must be frozen.
    """
    chains = list(_cuts(network))
    keys = [_key(chain[-1]) for chain in chains]
    found = {}
    for chain, key in zip(chains, keys, strict=True):
        if keys.count(key) != dense.cuts.count(key):
            for operation in chain:
                where = operation.name, operation.module, operation.location
                reason = Reason(Kind.CONSTANT_POSITIONS, *where)
                found.update(dict.fromkeys(_cut_groups(network, operation), reason))
    return found


def cut_groups(network: Network) -> set[int]:
    """Return the groups in parts of different sizes into which the program cuts channels."""
    return {group for operation in network.operations for group in _cut_groups(network, operation)}


def _cut_groups(network: Network, operation: Operation) -> list[int]:
    """Return the groups along the dimension that an operation cuts into unequal parts."""
    if operation.name not in ("slice", "narrow", "split_with_sizes") or _is_whole(operation):
        return []
    results = operation.results
    dim = int(operation.settings.get("dim") or 0) % len(operation.shape)
    if len(results) > 1 and len({shape[dim] for shape, _ in results}) == 1:
        return []
    units = [axis.owner for _, axes in results for axis in axes if axis.dim == dim]
    return sorted(network.groups_along(units))


def _is_whole(operation: Operation) -> bool:
    start, end = (operation.settings.get(name) for name in ("start", "end"))
    return operation.name == "slice" and not start and (end is None or end > 2**62)


def rescaled(network: Network, alive: NDArray[np.bool_]) -> dict[int, float]:
    """Return the numbers of a narrower network that make an average of a sum or length of channels, by operation.

    `x.sum(1) / x.shape[1]` and `x.norm(dim=1) * x.shape[1] ** -0.5` are averages that are written by hand.
    """
    found = {}
    for operation in network.operations:
        number = operation.settings.get("other")
        source = network.operations[operation.inputs[0]] if len(operation.inputs) == 1 else None
        if operation.name not in ("mul", "div") or not isinstance(number, float | int) or source is None:
            continue
        if source.averaged is None or source.name not in POWERS:
            continue
        power = POWERS[source.name] * (1 if operation.name == "div" else -1)
        shape, axes = source.averaged
        worked = reduced_dims(source)
        before, after = (prod(sizes[dim] for dim in worked) for sizes in (shape, _after(shape, axes, alive)))
        if before > 1 and isclose(number, before**power, rel_tol=1e-6):
            found[operation.index] = float(after**power)
    return found


def reduced_dims(operation: Operation) -> list[int]:
    """Return the dimensions that an operation averages or sums over."""
    assert operation.averaged is not None
    rank, dims = len(operation.averaged[0]), operation.settings.get("dim")
    return [dim % rank for dim in (range(rank) if dims in (None, []) else [dims] if isinstance(dims, int) else dims)]


POWERS = {"sum": 1.0, "norm": 0.5, "linalg_vector_norm": 0.5}
"""Powers of the number of channels by which a sum, or a length, is divided to an average."""
_ARITHMETIC = {"add", "sub", "mul", "div", "true_divide", "pow", "add_", "sub_", "mul_", "div_"}
_ARITHMETIC |= {"rsub", "__rsub__", "__rtruediv__", "__rpow__"}


def _numbers(name: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> tuple[float, ...]:
    """Return the plain numbers that a call computes with: operands of arithmetic, the scale of attention."""
    if name in _ARITHMETIC:
        return tuple(float(arg) for arg in args if isinstance(arg, int | float))
    scale = (kwargs or {}).get("scale")
    return (float(scale),) if isinstance(scale, int | float) else ()


class CallLog(TorchFunctionMode):
    """Log of the functions of torch that a forward pass calls: names, numbers, and shapes of results.

    Attributes:
        current: name of the last called function.
        cuts: shapes of all parts of each cut tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.current = ""
        self.shapes: list[tuple[str, _Shape]] = []
        self.numbers: list[tuple[float, ...]] = []
        self.cuts: list[Cut] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = self.current = getattr(func, "__name__", "")
        result = func(*args, **(kwargs or {}))
        if name in _CUTTING:
            self.see_cut(tuple(shapes_of(result)))
        if isinstance(result, Tensor):
            self.see(name, tuple(result.shape), _numbers(name, args, kwargs))
        return result

    def see(self, name: str, shape: _Shape, numbers: tuple[float, ...]) -> None:
        """Log one call."""
        self.shapes.append((name, shape))
        self.numbers.append(numbers)

    def see_cut(self, shapes: Cut) -> None:
        """Log the shapes of the parts into which a call cut a tensor."""
        self.cuts.append(shapes)


class CallCheck(CallLog):
    """Check of a probe: each call must have the shape that the labels predict for this call of the dense network.

    A view may run with wrong sizes (`view(n, self.heads, -1)`) and compute something else. So shapes are compared
    inside the network, too, not only at its end. Numbers that are computed from a size, such as the scale
    `q.shape[-1] ** -0.5` of attention, must not change, unless the code only checks its inputs with them.
    """

    def __init__(self, dense: CallLog, network: Network, alive: NDArray[np.bool_]) -> None:
        super().__init__()
        self._dense, self._predicted = dense, _shapes_after(network, alive)
        self._free = _only_checked(network)
        cuts = _cuts_after(network, alive).items()
        self._expected = {key: iter(after) for key, after in cuts if dense.cuts.count(key) == len(after)}
        self._cuts = iter(dense.cuts)
        numbers = rescaled(network, alive)
        self._numbers = {
            (network.operations[index].shape, float(network.operations[index].settings["other"])): number
            for index, number in numbers.items()
        }

    def see_cut(self, shapes: Cut) -> None:
        """Compare the parts of a cut tensor with those of the same cut of the dense network."""
        expected = next(self._expected.get(next(self._cuts, ()), iter([shapes])))
        if shapes != expected:
            made, wanted = (", ".join(str(list(shape)) for shape in cut) for cut in (shapes, expected))
            raise ValueError(f"{self.current.strip('_')} makes {made} instead of {wanted}")

    def see(self, name: str, shape: _Shape, numbers: tuple[float, ...]) -> None:
        """Compare a call with the same call of the dense network, and log it."""
        at, dense = len(self.shapes), self._dense
        if at < len(dense.shapes) and dense.shapes[at][0] == name:
            before = dense.numbers[at]
            is_free = dense.shapes[at] in self._free or self._is_average(dense.shapes[at][1], before, numbers)
            if numbers != before and not is_free:
                raise ValueError(f"{name} by {before} becomes {name} by {numbers}: the number depends on this size")
            expected = self._predicted.get(dense.shapes[at])
            if expected is not None and shape not in expected:
                wanted = " or ".join(str(list(item)) for item in sorted(expected))
                raise ValueError(f"{name} makes {list(shape)} instead of {wanted}")
        super().see(name, shape, numbers)

    def _is_average(self, shape: _Shape, before: tuple[float, ...], numbers: tuple[float, ...]) -> bool:
        """Return whether numbers follow the channels that are averaged."""
        expected = [self._numbers.get((shape, number)) for number in before]
        pairs = zip(expected, numbers, strict=False)
        return len(before) == len(numbers) and all(wanted is not None and isclose(wanted, got) for wanted, got in pairs)
