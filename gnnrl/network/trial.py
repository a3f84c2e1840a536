"""Try a narrower network before any plan relies on it: sizes that the user's Python code states.

Labels say which channels go together; they cannot see a size that the code states itself, such as
`x.view(n, self.num_heads, -1)` or `view(-1, 512)`. So a probe, narrower in every group, is run. Where it fails, an
attribute of the module that fails is looked for that states a size the plan changes; it is *bound* to that size if the
network then gets further. Where there is none, the groups that the module touches are tried one by one and those that
fail are frozen, with the line of the user's code.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from gnnrl.network.labels import Component, Reason
from gnnrl.network.locations import user_location
from gnnrl.network.structure import Axis, Binding, Network
from gnnrl.network.surgery import remove, stated_sizes

_ROUNDS = 200
_Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a probe failed: after how many calls of torch, in which modules (innermost last), at which line.

    Attributes:
        read: for each module whose code was running, the attributes that this code reads.
    """

    progress: int
    modules: tuple[str, ...]
    location: str
    message: str
    read: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Trial:
    """What trials of a network found: bindings that it needs and groups that must stay whole, with the reason."""

    bindings: list[Binding] = field(default_factory=list)
    frozen: dict[int, Reason] = field(default_factory=dict)


def try_out(model: nn.Module, network: Network, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Trial:
    """Run narrower copies of a model until one runs through with outputs of the dense shapes.

    Args:
        model: in evaluation mode; not changed.
        network: what its labels say.
    """
    if not network.groups:
        return Trial()
    attempt = _Attempt(model, network, args, kwargs)
    found = Trial()
    for _ in range(_ROUNDS):
        everything = [group.index for group in network.groups if group.index not in found.frozen]
        failure = attempt.run(everything, found.bindings)
        if failure is None and attempt.with_data:
            return found
        if failure is None:
            attempt.with_data = True
            continue
        if not _bind(attempt, found, everything, failure):
            _freeze(attempt, found, everything, failure)
    return found


class _Attempt:
    """Runs probes of one network and remembers what the dense network returns.

    Probes are run on fake tensors first, which is fast; some fused kernels check sizes only where there is data, so the
    last probe is run with data.
    """

    def __init__(self, model: nn.Module, network: Network, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.network = network
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        memo = {id(tensor): self._fake(tensor) for tensor in (*model.parameters(), *model.buffers())}
        self.model = copy.deepcopy(model, memo)
        self.args, self.kwargs = tree_map_only(Tensor, self.mode.from_tensor, (args, kwargs))
        recording = _Recording()
        dense = remove(self.model, network, self.kept([]))
        with self.mode, recording:
            self.shapes = _shapes(dense(*self.args, **self.kwargs))
        self.calls = recording.shapes
        self.with_data = False
        self._dense = (model, args, kwargs)
        self.axes = _axes_by_module(network)

    def _fake(self, tensor: Tensor) -> Tensor:
        fake = self.mode.from_tensor(tensor)
        return nn.Parameter(fake, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake

    def kept(self, narrowed: Sequence[int]) -> list[Component]:
        """Units of each group in a probe that is narrower in these groups, never by nothing or to nothing.

        Every group loses another share (a golden sequence from a fifth to a half), lest two sizes meet by chance.
        """
        chosen = set(narrowed)
        kept = []
        for group in self.network.groups:
            share = 0.2 + 0.3 * (group.index * 0.618034 % 1)
            loss = max(1, round(group.size * share)) if group.index in chosen and group.size > 1 else 0
            kept.append(np.arange(group.size - loss))
        return kept

    def run(self, narrowed: Sequence[int], bindings: Sequence[Binding]) -> Failure | None:
        """Run a probe; None where it runs and returns what the dense network returns."""
        network = replace(self.network, bindings=tuple(bindings))
        model, args, kwargs = self._dense if self.with_data else (self.model, self.args, self.kwargs)
        small = remove(model, network, self.kept(narrowed))
        comparison = _Comparison(self.calls, _shapes_after(network, network.alive(self.kept(narrowed))))
        with _watched(small) as watch, nullcontext() if self.with_data else self.mode, comparison:
            try:
                with warnings.catch_warnings():
                    # an instance normalisation without weights only warns
                    warnings.filterwarnings("error", ".*does not match num_features")
                    shapes = _shapes(small(*args, **kwargs))
            except Exception as error:
                location = user_location(error)
                message = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
                return Failure(comparison.calls, tuple(watch.failed), location, message, _attributes_read(error, small))
        if shapes != self.shapes:
            return Failure(comparison.calls, ("",), "", f"the outputs' shapes become {shapes}")
        return None


def _attributes_read(error: BaseException, model: nn.Module) -> dict[str, frozenset[str]]:
    """Names that the code on the way to an error reads, for each module that it belongs to."""
    paths = {id(module): name for name, module in model.named_modules()}
    found: dict[str, frozenset[str]] = {}
    step = error.__traceback__
    while step is not None:
        path = paths.get(id(step.tb_frame.f_locals.get("self")))
        if path is not None:
            found[path] = found.get(path, frozenset()) | frozenset(step.tb_frame.f_code.co_names)
        step = step.tb_next
    return found


def _shapes_after(network: Network, alive: NDArray[np.bool_]) -> dict[tuple[str, _Shape], set[_Shape]]:
    """Shapes that the results of operations take in a narrower network, by name and dense shape."""
    found: dict[tuple[str, _Shape], set[_Shape]] = {}
    for operation in network.operations:
        after = list(operation.shape)
        for axis in operation.axes:
            after[axis.dim] = int(alive[axis.owner].sum())
        found.setdefault((operation.name, operation.shape), set()).add(tuple(after))
    return found


class _Recording(TorchFunctionMode):
    """Records the name and the result's shape of every function of torch that a forward pass calls."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[str, _Shape]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.shapes.append((getattr(func, "__name__", ""), tuple(result.shape)))
        return result


class _Comparison(TorchFunctionMode):
    """Compares a probe, call by call, with what the labels predict for the same call of the dense network.

    A view may run with the wrong sizes (`view(n, self.heads, -1)`) and compute something else; so shapes are compared
    inside the network too, not only at its end.
    """

    def __init__(
        self, dense: Sequence[tuple[str, _Shape]], predicted: Mapping[tuple[str, _Shape], set[_Shape]]
    ) -> None:
        super().__init__()
        self.calls = 0
        self._dense, self._predicted = dense, predicted

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self._check(getattr(func, "__name__", ""), tuple(result.shape))
            self.calls += 1
        return result

    def _check(self, name: str, shape: _Shape) -> None:
        if self.calls < len(self._dense) and self._dense[self.calls][0] == name:
            expected = self._predicted.get(self._dense[self.calls])
            if expected is not None and shape not in expected:
                wanted = " or ".join(str(list(item)) for item in sorted(expected))
                raise ValueError(f"{name} makes {list(shape)} where {wanted} is left")


class _Progress:
    """Keeps the modules that an error passed through."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.failed: list[str] = []


@contextmanager
def _watched(model: nn.Module) -> Iterator[_Progress]:
    progress = _Progress()

    def before(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any) -> None:
            progress.open.append(name)
            progress.failed = list(progress.open)

        return hook

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        progress.open.pop()
        progress.failed = list(progress.open)

    hooks = []
    for name, module in model.named_modules():
        hooks += [module.register_forward_pre_hook(before(name)), module.register_forward_hook(after)]
    try:
        yield progress
    finally:
        for hook in hooks:
            hook.remove()


def _bind(attempt: _Attempt, found: Trial, narrowed: Sequence[int], failure: Failure) -> bool:
    """Bind an attribute of a failing module, and its like in modules of the same class, if the probe gets further."""
    for name in reversed(failure.modules):
        read = failure.read.get(name, frozenset())
        candidates = [binding for binding in _candidates(attempt, name, found.bindings) if binding.attribute in read]
        for binding in candidates:
            alike = _alike(attempt, binding, found.bindings)
            for chosen in ([binding, *alike], [binding]) if alike else ([binding],):
                result = attempt.run(narrowed, [*found.bindings, *chosen])
                if result is None or result.progress > failure.progress:
                    found.bindings += chosen
                    return True
    return False


def _candidates(attempt: _Attempt, name: str, bound: Sequence[Binding]) -> list[Binding]:
    """Attributes of a module that state a size which a plan changes, each with every owner that has this size."""
    taken = {(binding.module, binding.attribute, binding.position) for binding in bound}
    sizes: dict[int, list[Component]] = {}
    for axis in attempt.axes.get(name, ()):
        owners = sizes.setdefault(len(axis.owner), [])
        if not any(np.array_equal(axis.owner, owner) for owner in owners):
            owners.append(axis.owner)
    return [
        Binding(name, attribute, position, owner)
        for attribute, position, value in stated_sizes(attempt.model.get_submodule(name))
        if (name, attribute, position) not in taken
        for owner in sizes.get(value, ())
    ]


def _alike(attempt: _Attempt, binding: Binding, bound: Sequence[Binding]) -> list[Binding]:
    """The same attribute of other modules of the same class, where it has exactly one possible owner."""
    kind = type(attempt.model.get_submodule(binding.module))
    found = []
    for name, module in attempt.model.named_modules():
        if type(module) is kind and name != binding.module:
            same = [
                candidate
                for candidate in _candidates(attempt, name, bound)
                if (candidate.attribute, candidate.position) == (binding.attribute, binding.position)
            ]
            if len(same) == 1:
                found.append(same[0])
    return found


def _freeze(attempt: _Attempt, found: Trial, narrowed: Sequence[int], failure: Failure) -> None:
    """Freeze the groups that alone make a probe fail, or else all that the failing module touches.

    Their like in modules of the same class is frozen with them: it would fail in the same way.
    """
    near = _groups_near(attempt, failure, narrowed)
    alone = [(group, result) for group in near if (result := attempt.run([group], found.bindings)) is not None]
    for group, result in alone or [(group, failure) for group in near]:
        module = result.modules[-1] if result.modules else ""
        text = f"the code states this size itself ({result.message})"
        for other, name in [(group, module), *_groups_alike(attempt, group, module)]:
            found.frozen.setdefault(other, Reason(text, "", name, result.location))


def _groups_alike(attempt: _Attempt, group: int, module: str) -> list[tuple[int, str]]:
    """Groups that live where this one lives, in other modules of the same class."""
    inside = [place for place in attempt.network.groups[group].places if place.tensor.startswith(f"{module}.")]
    if not module or not inside:
        return []
    tensor, dim = inside[0].tensor.removeprefix(module), inside[0].dim
    homes = {(place.tensor, place.dim): other.index for other in attempt.network.groups for place in other.places}
    kind = type(attempt.model.get_submodule(module))
    found = []
    for name, other in attempt.model.named_modules():
        if type(other) is kind and (name + tensor, dim) in homes:
            found.append((homes[name + tensor, dim], name))
    return found


def _groups_near(attempt: _Attempt, failure: Failure, narrowed: Sequence[int]) -> list[int]:
    """Groups that the failing module touches, innermost module first; all of them where none does."""
    offsets = attempt.network.offsets
    for name in reversed(failure.modules):
        units = np.unique(np.concatenate([[0], *(axis.owner for axis in attempt.axes.get(name, ()))]))
        groups = set((np.searchsorted(offsets, units[units > 0], side="right") - 1).tolist()) & set(narrowed)
        if groups:
            return sorted(groups)
    return list(narrowed)


def _axes_by_module(network: Network) -> dict[str, list[Axis]]:
    """Axes of all tensors that each module, or one inside it, reads or makes."""
    found: dict[str, list[Axis]] = {}
    for operation in network.operations:
        near = [*operation.axes, *(axis for source in operation.inputs for axis in network.operations[source].axes)]
        for path, _ in (("", ""), *operation.modules):
            found.setdefault(path, []).extend(near)
    for (tensor, dim), owner in network.owners.items():
        parts = tensor.split(".")[:-1]
        for depth in range(len(parts) + 1):
            found.setdefault(".".join(parts[:depth]), []).append(Axis(dim, owner))
    return found


def _shapes(output: Any) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
