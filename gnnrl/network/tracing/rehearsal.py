"""The rehearsal of a trace: a run of the dense network with data, and one on fake tensors."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_map_only

from gnnrl.errors import ConfigError
from gnnrl.modules.attention import narrow_all
from gnnrl.modules.copies import copied, copy_network
from gnnrl.modules.modes import drop_caches
from gnnrl.modules.outputs import Outputs, chosen_outputs
from gnnrl.network.tracing.calls import CallLog, shapes_of
from gnnrl.network.tracing.states import run_watched

_Shape = tuple[int, ...]


class Rehearsal:
    """A run of the dense network with data, with which probes are compared.

    A copy is run that shares the parameters. So the user's network gets no new caches, and the copy has no old ones.
    """

    def __init__(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Outputs | None = None
    ) -> None:
        self.model, self.args, self.kwargs, self.outputs = model, args, kwargs, outputs
        self.run()

    def run(self) -> None:
        """Run and log a new copy of the dense network, since a network may keep a table of its first run, as YOLO does.

        A later run logs what every copy calls, without tables that the process makes only once.
        """
        buffers = {id(buffer): buffer.clone() for buffer in self.model.buffers()}
        own = {id(parameter): parameter for parameter in self.model.parameters()}
        self.dense = copy_network(self.model, {**buffers, **own})
        narrow_all(self.dense)
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
        with suppress(Exception), quiet(), mode, CallLog() as calls:
            return calls if self.shapes_of(dense(*copied(args), **copied(kwargs))) == self.shapes else None
        return None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch from printing errors on fake tensors, because probes are expected to fail."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Leave the generators of torch (on the CPU) and numpy as they were before."""
    before = np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(before)
