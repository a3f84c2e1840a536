"""Probes: narrower copies of a network, which are run to find lines of the user's code that need the dense sizes."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from traceback import walk_tb
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_map_only

from gnnrl.errors import ConfigError, first_line
from gnnrl.modules.attention import narrow_all
from gnnrl.modules.copies import copied, copy_network
from gnnrl.modules.locations import user_location
from gnnrl.modules.modes import drop_caches, training
from gnnrl.modules.outputs import Outputs, chosen_outputs
from gnnrl.network.labels import Component
from gnnrl.network.structure import Axis, Binding, Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.calls import CallCheck, CallLog, cut_groups, shapes_of
from gnnrl.network.tracing.states import run_watched
from gnnrl.network.tracing.user_code import reads_mode

_Shape = tuple[int, ...]
_Run = tuple[tuple[Any, ...], dict[str, Any], list[_Shape]]
"""Positional and keyword arguments, and the shapes of the outputs."""
_Running = tuple[tuple[str, ...], Mapping[str, frozenset[str]]]
"""Modules that were running, innermost last, and the names that their code reads."""


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


class Rehearsal:
    """A run of the dense network with data, with which probes are compared.

    A copy is run that shares the parameters. So the user's network gets no new caches, and the copy has no old ones.
    """

    def __init__(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Outputs | None = None
    ) -> None:
        self.model, self.args, self.kwargs, self.outputs = model, args, kwargs, outputs
        buffers = {id(buffer): buffer.clone() for buffer in model.buffers()}
        self.dense = copy_network(model, {**buffers, **{id(parameter): parameter for parameter in model.parameters()}})
        narrow_all(self.dense)
        self.run()

    def run(self) -> None:
        """Run and log the dense network. A later run logs what every run calls, without tables made only once."""
        drop_caches(self.dense)
        self.calls = CallLog()
        self.result = run_watched(self.dense, self.args, self.kwargs, self.calls)
        self.counted = None if self.outputs is None else chosen_outputs(self.result, self.outputs)
        self.shapes = self.shapes_of(self.result)

    def shapes_of(self, result: Any) -> list[_Shape]:
        """Return the shapes of the outputs that count. In training mode, a network may not return all of them."""
        shapes = shapes_of(result)
        if self.outputs is None:
            return shapes
        with suppress(ConfigError):
            return [shapes[place] for place in chosen_outputs(result, self.outputs)]
        return []

    @cached_property
    def fakes(self) -> tuple[FakeTensorMode, nn.Module, tuple[Any, ...], dict[str, Any]]:
        """Network and inputs on fake tensors."""
        mode, model = FakeTensorMode(allow_non_fake_inputs=True), self.model
        fakes = {id(tensor): mode.from_tensor(tensor) for tensor in (*model.parameters(), *model.buffers())}
        args, kwargs = tree_map_only(Tensor, mode.from_tensor, (self.args, self.kwargs))
        return mode, copy_network(model, fakes), args, kwargs

    @cached_property
    def fake_calls(self) -> CallLog | None:
        """Log of the dense network on fake tensors; None if it does not run on them as with data.

        Code may branch on the values of tensors, or on being traced, so it can make other calls than with data. If it
        calls an operation without a fake kernel, a failure on fake tensors says nothing about the sizes of the groups.
        """
        mode, model, args, kwargs = self.fakes
        dense = copy_network(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})
        drop_caches(dense)
        narrow_all(dense)
        with suppress(Exception), _quiet(), mode, CallLog() as calls:
            return calls if self.shapes_of(dense(*copied(args), **copied(kwargs))) == self.shapes else None
        return None


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

    @cached_property
    def _training(self) -> _Run | None:
        """Inputs in training mode and shapes of the outputs; None if the code ignores the mode or does not run in it.

        The code may need targets, which are unknown here, or more than one sample for its normalisation.
        """
        if not self.network.unrun and not reads_mode(self.model):
            return None
        mode, model, args, kwargs = self.rehearsal.fakes
        with _quiet(), mode, training(model):
            for double in (False, True):
                given, named = tree_map_only(Tensor, _doubled, (args, kwargs)) if double else (args, kwargs)
                with suppress(Exception):
                    return given, named, self.rehearsal.shapes_of(model(*given, **named))
        return None

    def _run(
        self, kept: Sequence[Component], bindings: Sequence[Binding], in_training: _Run | None = None
    ) -> Failure | None:
        """Run a probe in evaluation mode or, on fake tensors, with these inputs in training mode."""
        self._stop(self._failing)
        network = replace(self.network, bindings=tuple(bindings))
        dense = self.rehearsal
        reference = self._reference
        mode: AbstractContextManager[Any] = nullcontext()
        if self.with_data and not in_training:
            small, args, kwargs = remove(self.model, network, kept), dense.args, dense.kwargs
        else:
            mode, model, args, kwargs = dense.fakes
            small = remove(model, network, kept, self._narrowed)
        narrow_all(small)
        args, kwargs, expected = in_training or (args, kwargs, dense.shapes)
        calls = self._calls = CallLog() if in_training else CallCheck(reference, network, network.alive(kept))
        before, where = (len(reference.shapes), "in training mode, ") if in_training else (0, "")

        def failed(message: str, running: _Running, location: str = "") -> Failure:
            progress, operation = before + len(calls.shapes), calls.current.strip("_")
            return Failure(progress, *running, location, (where + message)[:200], operation, bool(in_training))

        with _quiet(), mode, training(small) if in_training else nullcontext(), calls, warnings.catch_warnings():
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from printing errors on fake tensors, because probes are expected to fail."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _running(error: BaseException, model: nn.Module) -> _Running:
    """Return the modules that an error passed through, innermost last, and the names that their code reads."""
    paths = {id(module): name for name, module in model.named_modules()}
    modules: dict[str, None] = {}
    read: dict[str, frozenset[str]] = {}
    for frame, _ in walk_tb(error.__traceback__):
        code, known = frame.f_code, frame.f_locals
        owner, *outer = (
            paths.get(id(known.get(name))) for name in (*(code.co_varnames[:1] or [""]), *code.co_freevars)
        )
        if owner is not None:  # the first argument is `self`, whatever the user calls it
            modules.pop(owner, None)
            modules[owner] = None
        for path in (owner, *outer):
            if path is not None:
                read[path] = read.get(path, frozenset()) | _names(code, model.get_submodule(path))
    return tuple(modules), read


def _names(code: CodeType, module: nn.Module) -> frozenset[str]:
    """Return the names that code reads, and those that functions of the module read which the code names."""
    called = (getattr(getattr(module, name, None), "__code__", None) for name in code.co_names)
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
