"""Probes: narrower copies of a network, which are run to find lines of the user's code that need the dense sizes."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import getattr_static
from itertools import product
from traceback import walk_tb
from types import CodeType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_map_only

from gnnrl.errors import first_line
from gnnrl.modules.attention import narrow_all
from gnnrl.modules.copies import copied
from gnnrl.modules.locations import user_location
from gnnrl.modules.modes import training
from gnnrl.network.labels import Component
from gnnrl.network.structure import Axis, Binding, Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.calls import CallCheck, CallLog, cut_groups
from gnnrl.network.tracing.rehearsal import Rehearsal, own_random_numbers, quiet
from gnnrl.network.tracing.user_code import reads_mode

_Shape = tuple[int, ...]
_Running = tuple[tuple[str, ...], Mapping[str, frozenset[str]]]
"""Modules that were running, innermost last, and the names that their code reads."""


class _Training(NamedTuple):
    """Arguments with which the dense network runs in training mode, and the shapes of its outputs."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shapes: list[_Shape]
    with_data: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of a probe: the number of calls of torch before it, the modules (innermost last), and the line.

    Attributes:
        read: attributes that the running code reads, by module.
        operation: last called function of torch.
        in_training: whether the probe failed in training mode, after it ran in evaluation mode.
    """

    progress: int
    modules: tuple[str, ...]
    read: Mapping[str, frozenset[str]]
    location: str
    message: str
    operation: str
    in_training: bool


class Probe:
    """Runner of probes of one network.

    A probe with data is tried first, because it is the cheapest one that proves success. If it fails, probes are run on
    fake tensors, which are the cheapest ones to find failures. Some fused kernels check sizes only if there is data.

    Args:
        stop: a function that is called before each probe and may raise an error; it is given the failing modules.
    """

    def __init__(self, rehearsal: Rehearsal, network: Network, stop: Callable[[Sequence[str]], None]) -> None:
        self.network = network
        self.rehearsal = rehearsal
        self.model = rehearsal.model
        self.with_data = True
        self._stop = stop
        self._calls = CallLog()
        self._failing: Sequence[str] = ()
        self.axes = _axes_by_module(network)
        self._cut = cut_groups(network)
        self._narrow: dict[tuple[int, _Shape], Tensor] = {}

    def _narrowed(self, tensor: Tensor, dims: Mapping[int, Component]) -> Tensor:
        """Return a fake tensor of the narrower shape."""
        shape = tuple(len(dims[dim]) if dim in dims else size for dim, size in enumerate(tensor.shape))
        if shape == tensor.shape:
            return tensor
        if (id(tensor), shape) not in self._narrow:
            element = torch.empty(shape, dtype=tensor.dtype, device="meta")
            self._narrow[id(tensor), shape] = FakeTensor(self.rehearsal.fakes[0], element, tensor.device)
        return self._narrow[id(tensor), shape]

    def kept(
        self, narrowed: Sequence[int], *, narrowest: bool = False, equal: bool = False, variant: int = 0
    ) -> list[Component]:
        """Return the kept units of each group in a probe that is narrower in some groups.

        Every group loses another share (a golden sequence from a fifth to a half), so that two sizes are not equal by
        chance. It loses at least one unit and keeps at least one.

        Args:
            narrowest: whether groups in parts of cut channels keep one unit only.
            equal: whether all groups keep the same number of units instead.
            variant: number of another sequence of shares.
        """
        chosen = set(narrowed)
        kept = []
        for group in self.network.groups:
            share = (
                1.0
                if narrowest and group.index in self._cut
                else 0.2 + 0.3 * ((group.index * 0.618034 + variant * 0.37) % 1)
            )
            loss = min(max(1, round(group.size * share)), group.size - 1) if group.index in chosen else 0
            if equal and loss:
                loss = max(0, group.size - max(2, min(self.network.widths) - 1))
            kept.append(np.arange(group.size - loss))
        return kept

    def run(self, narrowed: Sequence[int], bindings: Sequence[Binding], variant: int = 0) -> Failure | None:
        """Run a probe, and return None if its outputs have the shapes of the dense network's.

        If channels are cut, a second probe is run, because half of an odd number may be right by chance. If code or
        modules run in training mode only, another probe is run in that mode.
        """
        failure = self._run(self.kept(narrowed, variant=variant), bindings)
        if failure is None and self._cut & set(narrowed):
            failure = self._run(self.kept(narrowed, narrowest=True), bindings)
        if failure is None and self._training is not None:
            failure = self._run(self.kept(narrowed), bindings, self._training)
        self._failing = failure.modules if failure else ()
        return failure

    def run_equal(self, narrowed: Sequence[int], bindings: Sequence[Binding]) -> bool:
        """Return whether a probe in which all groups are equally wide makes the calls of the dense network."""
        failure = self._run(self.kept(narrowed, equal=True), bindings)
        made, dense = ([name for name, _ in log.shapes] for log in (self._calls, self._reference))
        return failure is None and made == dense

    @property
    def _reference(self) -> CallLog:
        """Calls of the dense network, with data or on fake tensors as the probes are."""
        return self.rehearsal.calls if self.with_data else self.rehearsal.fake_calls or self.rehearsal.calls

    @property
    def _has_unread(self) -> bool:
        """Return whether the network has parameters that no operation reads in evaluation mode."""
        read = {name for operation in self.network.operations for name in operation.parameters.values()}
        read |= {name for name, _ in self.network.owners}
        return any(name not in read for name, _ in self.model.named_parameters())

    @cached_property
    def _training(self) -> _Training | None:
        """A run of the dense network in training mode; None if the code ignores the mode or does not run in it.

        The code may need targets, which are unknown here, more than one sample for its normalisation, or data.
        """
        if not self.network.unrun and not reads_mode(self.model):
            return None
        dense = self.rehearsal
        # Writing to chosen positions is not checked on fake tensors. Only code that training alone runs can need that.
        for with_data, double in product(sorted((False, True), reverse=self._has_unread), (False, True)):
            mode: AbstractContextManager[Any]
            mode, model, args, kwargs = dense.fakes
            if with_data:
                mode, args, kwargs = nullcontext(), dense.args, dense.kwargs
                model = remove(self.model, self.network, self.kept(()))
            if double:
                args, kwargs = tree_map_only(Tensor, _doubled, (args, kwargs))
            with suppress(Exception), quiet(), mode, own_random_numbers(), training(model):
                shapes = dense.shapes_of(model(*copied(args), **copied(kwargs)))
                return _Training(args, kwargs, shapes, with_data)
        return None

    def _run(
        self, kept: Sequence[Component], bindings: Sequence[Binding], in_training: _Training | None = None
    ) -> Failure | None:
        """Run a probe in evaluation mode, or as the dense network ran in training mode."""
        self._stop(self._failing)
        network = replace(self.network, bindings=tuple(bindings))
        dense = self.rehearsal
        reference = self._reference
        mode: AbstractContextManager[Any] = nullcontext()
        if in_training.with_data if in_training else self.with_data:
            small, args, kwargs = remove(self.model, network, kept), dense.args, dense.kwargs
        else:
            mode, model, args, kwargs = dense.fakes
            small = remove(model, network, kept, self._narrowed)
        narrow_all(small)
        expected = dense.shapes
        if in_training:
            args, kwargs, expected, _ = in_training
        calls = self._calls = CallLog() if in_training else CallCheck(reference, network, network.alive(kept))
        before, where = (len(reference.shapes), "in training mode, ") if in_training else (0, "")

        def failed(message: str, running: _Running, location: str = "") -> Failure:
            progress, operation = before + len(calls.shapes), calls.current.strip("_")
            return Failure(progress, *running, location, (where + message)[:200], operation, bool(in_training))

        with (
            quiet(),
            mode,
            own_random_numbers(),
            training(small) if in_training else nullcontext(),
            calls,
            warnings.catch_warnings(),
        ):
            # an instance normalisation without weights only warns about a wrong size
            warnings.filterwarnings("error", ".*does not match num_features")
            try:
                shapes = dense.shapes_of(small(*copied(args), **copied(kwargs)))
            except Exception as error:
                return failed(first_line(error), _running(error, small), user_location(error))
        return None if shapes == expected else failed(f"the outputs get the shapes {shapes}", (("",), {}))


def _doubled(value: Tensor) -> Tensor:
    """Repeat a single sample."""
    return torch.cat([value, value]) if value.ndim and len(value) == 1 else value


def _running(error: BaseException, model: nn.Module) -> _Running:
    """Return the modules that an error passed through, innermost last, and the names that their code reads."""
    paths = {id(module): name for name, module in model.named_modules()}
    modules: dict[str, None] = {}
    read: dict[str, frozenset[str]] = {}
    for frame, _ in walk_tb(error.__traceback__):
        code, known = frame.f_code, frame.f_locals
        arguments = code.co_varnames[: code.co_argcount] or ("",)  # a processor is given the module that it works for
        owner, *outer = (paths.get(id(known.get(name))) for name in (*arguments, *code.co_freevars))
        if owner is not None:  # the first argument is `self`, whatever the user calls it
            modules.pop(owner, None)
            modules[owner] = None
        for path in (owner, *outer):
            if path is not None:
                read[path] = read.get(path, frozenset()) | _names(code, model.get_submodule(path))
    return tuple(modules), read


def _names(code: CodeType, module: nn.Module) -> frozenset[str]:
    """Return the names that code reads, and those that functions of the module read which the code names.

    The user's properties and `__getattr__` are not called, because they may raise any error.
    """
    found = (getattr_static(module, name, None) for name in code.co_names)
    called = (getattr(getattr(function, "__func__", function), "__code__", None) for function in found)
    return frozenset(code.co_names).union(*(inner.co_names for inner in called if inner))


def _axes_by_module(network: Network) -> dict[str, list[Axis]]:
    """Return the axes of all tensors that each module, or a module inside it, reads or makes."""
    found: dict[str, list[Axis]] = {}
    for operation in network.operations:
        sources = (operation, *(network.operations[index] for index in operation.inputs))
        near = [axis for each in sources for _, axes in each.results for axis in axes]
        for path, _ in (("", ""), *operation.modules):
            found.setdefault(path, []).extend(near)
    for (tensor, dim), owner in network.owners.items():
        parts = tensor.split(".")[:-1]
        for depth in range(len(parts) + 1):
            found.setdefault(".".join(parts[:depth]), []).append(Axis(dim, owner))
    return found
