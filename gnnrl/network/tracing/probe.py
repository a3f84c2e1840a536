"""Probes: narrower copies of a network, run to see where the user's Python code stands in the way."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_map_only

from gnnrl.errors import first_line
from gnnrl.modules.attention import narrow_all
from gnnrl.modules.copies import copy_network
from gnnrl.modules.locations import user_location
from gnnrl.modules.modes import drop_caches, training
from gnnrl.network.labels import Component
from gnnrl.network.structure import Axis, Binding, Network, Operation
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.calls import Comparison, Recording, cut_groups, cuts_after, shapes_after, shapes_of

_Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a probe failed: after how many calls of torch, in which modules (innermost last), at which line.

    Attributes:
        read: for each module whose code was running, the attributes that this code reads.
        operation: the function of torch that was called last.
        in_training: whether it failed in training mode, after it ran in evaluation mode.
    """

    progress: int
    modules: tuple[str, ...]
    location: str
    message: str
    read: Mapping[str, frozenset[str]] = field(default_factory=dict)
    operation: str = ""
    in_training: bool = False


class Rehearsal:
    """One run of the dense network with data: what a probe is compared with.

    The run is one of a copy that shares the weights: what it caches stays out of the user's network, and what that has
    cached before stays out of the copy.
    """

    def __init__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.model, self.args, self.kwargs = model, args, kwargs
        recording = Recording()
        dense = copy_network(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})
        narrow_all(dense)
        drop_caches(dense)
        with recording:
            self.shapes = shapes_of(dense(*args, **kwargs))
        self.dense, self.calls = dense, recording


class Probe:
    """Runs probes of one network.

    A probe with data is the cheapest that can succeed; where it fails, probes are run on fake tensors, which are the
    cheapest that can fail, until one succeeds. Some fused kernels check sizes only where there is data.
    """

    def __init__(self, rehearsal: Rehearsal, network: Network) -> None:
        self.network = network
        self.rehearsal = rehearsal
        self.model = rehearsal.model
        self.with_data = True
        self.axes = _axes_by_module(network)
        self._cut = cut_groups(network)
        self._narrow: dict[tuple[int, _Shape], Tensor] = {}

    @cached_property
    def _fakes(self) -> tuple[FakeTensorMode, nn.Module, tuple[Any, ...], dict[str, Any]]:
        """The network and its inputs without data."""
        mode, model = FakeTensorMode(allow_non_fake_inputs=True), self.model
        fakes = {id(tensor): mode.from_tensor(tensor) for tensor in (*model.parameters(), *model.buffers())}
        args, kwargs = tree_map_only(Tensor, mode.from_tensor, (self.rehearsal.args, self.rehearsal.kwargs))
        return mode, copy_network(model, fakes), args, kwargs

    def _narrowed(self, tensor: Tensor, dims: Mapping[int, Component]) -> Tensor:
        """A fake tensor of the shape that is left: there is no data to select."""
        shape = tuple(len(dims[dim]) if dim in dims else size for dim, size in enumerate(tensor.shape))
        if shape == tensor.shape:
            return tensor
        if (id(tensor), shape) not in self._narrow:
            element = torch.empty(shape, dtype=tensor.dtype, device="meta")
            self._narrow[id(tensor), shape] = FakeTensor(self._fakes[0], element, tensor.device)
        return self._narrow[id(tensor), shape]

    def kept(self, narrowed: Sequence[int], narrowest: bool = False) -> list[Component]:
        """Units of each group in a probe that is narrower in these groups, never by nothing or to nothing.

        Every group loses another share (a golden sequence from a fifth to a half), lest two sizes meet by chance.

        Args:
            narrowest: whether parts that channels are cut into lose all but one unit.
        """
        chosen = set(narrowed)
        kept = []
        for group in self.network.groups:
            share = 1.0 if narrowest and group.index in self._cut else 0.2 + 0.3 * (group.index * 0.618034 % 1)
            loss = min(max(1, round(group.size * share)), group.size - 1) if group.index in chosen else 0
            kept.append(np.arange(group.size - loss))
        return kept

    def run(self, narrowed: Sequence[int], bindings: Sequence[Binding]) -> Failure | None:
        """Run a probe; None where it runs and returns what the dense network returns.

        Where channels are cut, a second one follows: half of an odd number may be right by chance.
        """
        failure = self._run(self.kept(narrowed), bindings)
        if failure is None and self._cut & set(narrowed):
            failure = self._run(self.kept(narrowed, narrowest=True), bindings)
        if failure is None and self._training is not None:
            failure = self._train(self.kept(narrowed), bindings)
        return failure

    @cached_property
    def _training(self) -> tuple[tuple[Any, ...], dict[str, Any], list[_Shape]] | None:
        """Inputs in training mode and shapes of the outputs; None where the code does the same, or does not run so.

        It may want targets, which nobody knows here, or more than one sample for its normalisation.
        """
        if not self.network.unrun and not _asks_for_training(self.model):
            return None
        mode, model, args, kwargs = self._fakes
        with _quiet(), mode, training(model):
            for double in (False, True):
                given, named = tree_map_only(Tensor, _doubled, (args, kwargs)) if double else (args, kwargs)
                with suppress(Exception):
                    return given, named, shapes_of(model(*given, **named))
        return None

    def _train(self, kept: Sequence[Component], bindings: Sequence[Binding]) -> Failure | None:
        """Run a probe in training mode, on fake tensors: heads for training alone, and code that asks for the mode."""
        assert self._training is not None
        (mode, model, *_), (args, kwargs, expected) = self._fakes, self._training
        small = remove(model, replace(self.network, bindings=tuple(bindings)), kept, self._narrowed)
        narrow_all(small)
        calls = Recording()
        with _watched(small) as watch, _quiet(), mode, training(small), calls:
            try:
                shapes = shapes_of(small(*args, **kwargs))
            except Exception as error:
                message = f"in training mode, {first_line(error)}"[:200]
                read = _attributes_read(error, small)
                where = tuple(watch.failed), user_location(error), message, read, calls.current.strip("_")
                return Failure(len(self.rehearsal.calls.shapes) + len(calls.shapes), *where, in_training=True)
        if shapes != expected:
            message = f"in training mode, the outputs' shapes become {shapes}"
            return Failure(len(self.rehearsal.calls.shapes) + len(calls.shapes), ("",), "", message, in_training=True)
        return None

    def _run(self, kept: Sequence[Component], bindings: Sequence[Binding]) -> Failure | None:
        network = replace(self.network, bindings=tuple(bindings))
        mode: AbstractContextManager[Any]
        if self.with_data:
            mode, args, kwargs = nullcontext(), self.rehearsal.args, self.rehearsal.kwargs
            small = remove(self.model, network, kept)
        else:
            mode, model, args, kwargs = self._fakes
            small = remove(model, network, kept, self._narrowed)
        narrow_all(small)
        alive = network.alive(kept)
        predicted = shapes_after(network, alive), cuts_after(network, alive)
        comparison = Comparison(self.rehearsal.calls, *predicted)
        with _watched(small) as watch, _quiet(), mode, comparison:
            try:
                with warnings.catch_warnings():
                    # an instance normalisation without weights only warns
                    warnings.filterwarnings("error", ".*does not match num_features")
                    shapes = shapes_of(small(*args, **kwargs))
            except Exception as error:
                location = user_location(error)
                message = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
                read, operation = _attributes_read(error, small), comparison.current.strip("_")
                return Failure(comparison.calls, tuple(watch.failed), location, message, read, operation)
        if shapes != self.rehearsal.shapes:
            message = f"the outputs' shapes become {shapes}"
            return Failure(comparison.calls, ("",), "", message, operation=comparison.current.strip("_"))
        return None


def _doubled(value: Tensor) -> Tensor:
    """Two samples where there is one."""
    return torch.cat([value, value]) if value.ndim and len(value) == 1 else value


def _asks_for_training(model: nn.Module) -> bool:
    """Whether code of the user's modules asks for the mode."""
    kinds = {kind for module in model.modules() for kind in type(module).__mro__}
    own = [kind for kind in kinds if not kind.__module__.startswith(("torch.", "builtins"))]
    functions = [getattr(value, "__code__", None) for kind in own for value in vars(kind).values()]
    return any(code is not None and "training" in code.co_names for code in functions)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from printing what goes wrong on fake tensors: a probe is expected to fail."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _attributes_read(error: BaseException, model: nn.Module) -> dict[str, frozenset[str]]:
    """Names that the code on the way to an error reads, for each module that it belongs to."""
    paths = {id(module): name for name, module in model.named_modules()}
    found: dict[str, frozenset[str]] = {}
    step = error.__traceback__
    while step is not None:
        code, known = step.tb_frame.f_code, step.tb_frame.f_locals
        for name in (*code.co_varnames[:1], *code.co_freevars):  # `self`, whatever the user calls it
            path = paths.get(id(known.get(name)))
            if path is not None:
                found[path] = found.get(path, frozenset()) | frozenset(code.co_names)
        step = step.tb_next
    return found


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


def _all(operation: Operation) -> list[Axis]:
    return [*operation.axes, *(axis for _, axes in operation.others for axis in axes)]


def _axes_by_module(network: Network) -> dict[str, list[Axis]]:
    """Axes of all tensors that each module, or one inside it, reads or makes."""
    found: dict[str, list[Axis]] = {}
    for operation in network.operations:
        near = [axis for each in (operation, *(network.operations[i] for i in operation.inputs)) for axis in _all(each)]
        for path, _ in (("", ""), *operation.modules):
            found.setdefault(path, []).extend(near)
    for (tensor, dim), owner in network.owners.items():
        parts = tensor.split(".")[:-1]
        for depth in range(len(parts) + 1):
            found.setdefault(".".join(parts[:depth]), []).append(Axis(dim, owner))
    return found
