"""Run only the end of a network: from kept activations on, through the user's own forward.

The first pass writes down every call of a torch function: which tensors it reads and which it makes. A later pass runs
the same Python code, but does not compute the calls before a chosen one, the cut. They return placeholders of the
right shape, or the kept value where a call after the cut reads it. A cut costs the memory of what is alive there, and
a pass costs the time of what comes after the cut.
"""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from gnnrl.modules.modes import evaluating
from gnnrl.pruning.calibration.batches import Feed


@dataclass(frozen=True, slots=True)
class _Step:
    """What one call returned: for each leaf the number of a new tensor, the place of an argument, or a plain value."""

    made: dict[int, tuple[int, tuple[int, ...], torch.dtype]]
    given: dict[int, int]
    plain: tuple[Any, ...]
    structure: TreeSpec


@dataclass(slots=True)
class Replay:
    """A network on fixed inputs whose end can be computed again with other weights.

    Attributes:
        model: the network; between passes the caller may write to its parameters and buffers.
        outputs: what the network computed in the first pass.
        uses: number of the first call that reads a parameter or buffer, by its name.
        exact: whether every tensor that is read has a known origin; otherwise each pass computes everything.
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
    _kept: dict[int, "_Kept"] = field(default_factory=dict)

    @classmethod
    def record(cls, model: nn.Module, feed: Feed, inputs: Sequence[Tensor]) -> "Replay":
        """Compute the network once and write down its calls."""
        replay = cls(model, feed, inputs)
        known = _Known()
        replay.outputs = replay._run(_Recording(replay, known))
        for leaf in tree_leaves(replay.outputs):
            if isinstance(leaf, Tensor) and (number := known.number(leaf)) is not None:
                replay._last_read[number] = inf
        replay._check()
        return replay

    def end(self, cut: int) -> Any:
        """Outputs of the network as its weights are now, if those read before call `cut` are unchanged.

        Cuts are asked for in rising order: only what is alive at the last one is kept.
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


@dataclass(frozen=True, slots=True)
class _Kept:
    """A kept tensor: where it lies in which of the kept memories. Views of one memory stay views of one memory."""

    memory: Tensor
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


class _Known:
    """Numbers of living tensors that calls have made."""

    def __init__(self) -> None:
        self._numbers: dict[int, tuple[weakref.ReferenceType[Tensor], int]] = {}

    def number(self, tensor: Tensor) -> int | None:
        found = self._numbers.get(id(tensor))
        return None if found is None or found[0]() is not tensor else found[1]

    def add(self, tensor: Tensor, number: int) -> None:
        self._numbers[id(tensor)] = weakref.ref(tensor), number

    def living(self) -> dict[int, Tensor]:
        return {number: tensor for reference, number in self._numbers.values() if (tensor := reference()) is not None}


class _Recording(TorchFunctionMode):
    def __init__(self, replay: Replay, known: _Known) -> None:
        super().__init__()
        self._replay, self._known = replay, known
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
        self._inputs: list[Tensor] | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Write one call down."""
        kwargs = kwargs or {}
        arguments = tree_leaves((args, kwargs))
        order = len(self._replay._steps)
        for leaf in arguments:
            if isinstance(leaf, Tensor):
                self._read(leaf, order)
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
                number = len(self._replay._last_read)
                self._replay._last_read[number] = -1
                self._known.add(leaf, number)
                made[place] = number, tuple(leaf.shape), leaf.dtype
        plain = tuple(None if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        self._replay._steps.append(_Step(made, given, plain, structure))
        return output

    def _read(self, tensor: Tensor, order: int) -> None:
        number = self._known.number(tensor)
        if number is not None:
            self._replay._last_read[number] = order
            return
        for name in self._names.get(id(tensor), ()):
            self._replay.uses.setdefault(name, order)
        if id(tensor) not in self._names and id(tensor) not in self._constants and not self._is_input(tensor):
            self._replay.exact = False

    def _is_input(self, tensor: Tensor) -> bool:
        return any(tensor.shape == value.shape and torch.equal(tensor, value) for value in self._replay.inputs)


class _Resuming(TorchFunctionMode):
    """Skips calls before the last cut, computes those after it, and keeps what is alive at the new cut."""

    def __init__(self, replay: Replay, cut: int) -> None:
        super().__init__()
        self._replay, self._known = replay, _Known()
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
                self._known.add(leaves[place], made[0])
            return tree_unflatten(leaves, step.structure)
        output = func(*args, **kwargs)
        found = tree_leaves(output)
        for place, made in step.made.items():
            self._known.add(found[place], made[0])
        return output

    def _value(self, number: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        kept = self._replay._kept.get(number)
        if kept is None:
            return torch.zeros((), dtype=dtype).expand(shape)
        memory = self._memories.setdefault(id(kept.memory), kept.memory.clone())
        return memory.as_strided(kept.size, kept.stride, kept.offset)

    def _keep(self) -> None:
        alive = {n: t for n, t in self._known.living().items() if self._replay._last_read[n] >= self._cut}
        memories: dict[int, Tensor] = {}
        self._replay._kept = {}
        for number, tensor in alive.items():
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in memories:
                whole = torch.empty(0, dtype=tensor.dtype).set_(storage)
                memories[storage.data_ptr()] = whole.clone()
            offset = int(tensor.storage_offset())
            self._replay._kept[number] = _Kept(
                memories[storage.data_ptr()], tuple(tensor.shape), tensor.stride(), offset
            )
        self._replay._cut = self._cut
