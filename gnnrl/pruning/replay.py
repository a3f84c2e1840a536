"""Run only the end of a network, from kept activations, through the user's own forward.

The first pass records every call of a torch function: the tensors that it reads and the tensors that it makes. A later
pass runs the same Python code, but skips the calls before a chosen one, the cut. Skipped calls return placeholders of
the right shape, or the kept value if a call after the cut reads it. A cut costs the memory of the tensors that are
still needed there; a pass costs the time of the calls after the cut.
"""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten
from torch.utils.weak import WeakIdKeyDictionary

from gnnrl.modules.modes import evaluating
from gnnrl.pruning.calibration.batches import Feed


@dataclass(frozen=True, slots=True)
class _Step:
    """The result of one call, leaf by leaf: the number of a new tensor, the place of an argument, or a plain value."""

    made: dict[int, tuple[int, tuple[int, ...], torch.dtype]]
    given: dict[int, int]
    plain: tuple[Any, ...]
    structure: TreeSpec


@dataclass(frozen=True, slots=True)
class _Kept:
    """A kept tensor as a view of kept memory. Views of one memory stay views of one memory."""

    memory: Tensor
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


@dataclass(slots=True)
class Replay:
    """A network on fixed inputs whose end can be computed again with other weights.

    Attributes:
        model: the network; between passes the caller may write to its parameters and buffers.
        outputs: the outputs of the first pass.
        uses: number of the first call that reads a parameter or buffer, by its name.
        exact: True if every tensor that is read has a known origin; otherwise each pass computes everything.
    """

    model: nn.Module
    feed: Feed
    inputs: Sequence[Tensor]
    outputs: Any = None
    uses: dict[str, int] = field(default_factory=dict)
    exact: bool = True
    _steps: list[_Step] = field(default_factory=list)
    _last_read: dict[int, float] = field(default_factory=dict)
    _cut: int = 0
    _kept: dict[int, _Kept] = field(default_factory=dict)

    @classmethod
    def record(cls, model: nn.Module, feed: Feed, inputs: Sequence[Tensor]) -> "Replay":
        """Compute the network once and record its calls."""
        replay = cls(model, feed, inputs)
        recording = _Recording(replay)
        replay.outputs = replay._run(recording)
        for leaf in tree_leaves(replay.outputs):
            if isinstance(leaf, Tensor) and leaf in recording.numbers:
                replay._last_read[recording.numbers[leaf]] = inf
        replay._check()
        return replay

    def end(self, cut: int) -> Any:
        """Compute the outputs with the weights as they are now; only those that call `cut` or later reads may differ.

        Ask for cuts in ascending order: only tensors that are needed after the last cut are kept.
        """
        return self._run(_Resuming(self, cut if self.exact else 0))

    def _check(self) -> None:
        """Cut the unchanged network in the middle: its end must compute the same."""
        half = len(self._steps) // 2
        found = [self.end(half), self.end(half)] if self.exact else []
        pairs = [
            pair for outputs in found for pair in zip(tree_leaves(outputs), tree_leaves(self.outputs), strict=True)
        ]
        self.exact = self.exact and all(torch.equal(a, b) for a, b in pairs if isinstance(a, Tensor))
        self._cut, self._kept = 0, {}

    @torch.no_grad()
    def _run(self, mode: TorchFunctionMode) -> Any:
        with evaluating(self.model), mode:
            return self.feed.run(self.model, self.inputs)


class _Recording(TorchFunctionMode):
    """Records all calls; numbers the tensors that they make."""

    def __init__(self, replay: Replay) -> None:
        super().__init__()
        self._replay = replay
        self.numbers: MutableMapping[Tensor, int] = WeakIdKeyDictionary()
        model = replay.model
        named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
        self._names: dict[int, list[str]] = {}
        for name, value in named:
            self._names.setdefault(id(value), []).append(name)
        self._constants = {
            id(leaf)
            for module in model.modules()
            for leaf in tree_leaves([value for key, value in vars(module).items() if key[0] != "_"])
            if isinstance(leaf, Tensor)
        }

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Record one call."""
        kwargs = kwargs or {}
        arguments = tree_leaves((args, kwargs))
        for leaf in arguments:
            if isinstance(leaf, Tensor):
                self._read(leaf)
        output = func(*args, **kwargs)
        leaves, structure = tree_flatten(output)
        made: dict[int, tuple[int, tuple[int, ...], torch.dtype]] = {}
        given: dict[int, int] = {}
        for place, leaf in enumerate(leaves):
            if not isinstance(leaf, Tensor):
                continue
            same = [index for index, argument in enumerate(arguments) if argument is leaf]
            if same:
                given[place] = same[0]
            else:
                number = self.numbers[leaf] = len(self._replay._last_read)
                self._replay._last_read[number] = -1
                made[place] = number, tuple(leaf.shape), leaf.dtype
        plain = tuple(None if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        self._replay._steps.append(_Step(made, given, plain, structure))
        return output

    def _read(self, tensor: Tensor) -> None:
        order = len(self._replay._steps)
        if tensor in self.numbers:
            self._replay._last_read[self.numbers[tensor]] = order
            return
        for name in self._names.get(id(tensor), ()):
            self._replay.uses.setdefault(name, order)
        if id(tensor) not in self._names and id(tensor) not in self._constants and not self._is_input(tensor):
            self._replay.exact = False

    def _is_input(self, tensor: Tensor) -> bool:
        return any(tensor.shape == value.shape and torch.equal(tensor, value) for value in self._replay.inputs)


class _Resuming(TorchFunctionMode):
    """Skips calls before the last cut, computes the others, and keeps the tensors that are needed at the new cut."""

    def __init__(self, replay: Replay, cut: int) -> None:
        super().__init__()
        self._replay = replay
        self._numbers: MutableMapping[Tensor, int] = WeakIdKeyDictionary()
        self._start, self._cut, self._order = replay._cut, cut, 0
        self._memories: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Skip or compute one call."""
        kwargs = kwargs or {}
        order, self._order = self._order, self._order + 1
        if order == self._cut > self._start:
            self._keep()
        if order > self._cut or order >= len(self._replay._steps):
            return func(*args, **kwargs)
        step = self._replay._steps[order]
        if order < self._start:
            arguments = tree_leaves((args, kwargs))
            leaves = list(step.plain)
            for place, index in step.given.items():
                leaves[place] = arguments[index]
            for place, made in step.made.items():
                leaves[place] = self._value(*made)
            output = tree_unflatten(leaves, step.structure)
        else:
            output = func(*args, **kwargs)
        leaves = tree_leaves(output)
        for place, (number, *_) in step.made.items():
            self._numbers[leaves[place]] = number
        return output

    def _value(self, number: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        kept = self._replay._kept.get(number)
        if kept is None:
            return torch.zeros((), dtype=dtype).expand(shape)
        memory = self._memories.setdefault(id(kept.memory), kept.memory.clone())
        return memory.as_strided(kept.size, kept.stride, kept.offset)

    def _keep(self) -> None:
        """Copy the memory of every living tensor that a call from the cut on reads, once for all its views."""
        memories: dict[int, Tensor] = {}
        self._replay._kept = {}
        for tensor, number in list(self._numbers.items()):
            if self._replay._last_read[number] < self._cut:
                continue
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in memories:
                memories[storage.data_ptr()] = torch.empty(0, dtype=tensor.dtype).set_(storage).clone()
            self._replay._kept[number] = _Kept(
                memories[storage.data_ptr()], tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset())
            )
        self._replay._cut = self._cut
