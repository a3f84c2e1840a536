"""Forward passes that begin in the middle: the results that later operations read are kept, all others are skipped.

A repair solves one layer after another, and each needs its inputs for all images. If the images do not fit into memory,
every part of them runs up to the layer, and stops. Later it continues there: the code of the network runs from its
first line, but its operations on data return empty tensors without computing them, up to the place where it stopped.
The tensors that are still read after that place come from a file.

`Program` learns from two images which operations there are, and which storages each one reads, writes and makes.
`Resumed` runs one part. Storages have numbers, in the order in which they appear.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from gnnrl.pruning.calibration.kept import Kept


class Diverged(Exception):
    """The network's code took another way than for other images, so that its passes cannot be resumed."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a forward pass.

    Attributes:
        skipped: True if a pass that begins later can do without it: its result depends on the inputs of the network,
            and is not a view, which costs nothing.
        made: number of the new storage of each leaf of the result; None for numbers and views.
        written: number of the storage of each tensor that it writes to.
    """

    function: Any
    skipped: bool
    made: tuple[int | None, ...]
    written: tuple[int, ...]


class _Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees the operations of a network, but not those of its observers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.at = 0
        self._paused = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """See no operations inside."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation."""
        if self._paused:
            return func(*args, **(kwargs or {}))
        self.at += 1
        return self._run(self.at - 1, func, args, kwargs or {})

    def _run(self, at: int, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError


class Program(_Counted):  # type: ignore[no-untyped-call]
    """The operations of one forward pass.

    Attributes:
        starts: the operation at which each layer call begins, by the number of the call.
        last: the last operation that reads or writes each storage.
        bytes: size of each storage.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.starts: dict[int, int] = {}
        self.first: list[int] = []
        self.last: list[int] = []
        self.bytes: list[int] = []
        self._writes: list[list[int]] = []
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # no storage is freed, so that no address is used twice
        self._dependent = {self._number(value, -1) for value in inputs}

    def enter(self, order: int) -> None:
        """Note that a layer call begins."""
        self.starts[order] = self.at

    def close(self) -> None:
        """Forget the results of the two images."""
        self._alive.clear()
        self._numbers.clear()

    def needed(self, order: int) -> list[int]:
        """Return the storages that exist when a layer call begins, depend on the inputs, and are read later."""
        start = self.starts[order]
        return [k for k in sorted(self._dependent) if 0 <= self.first[k] < start <= self.last[k]]

    def version(self, number: int, order: int) -> int:
        """Return how often a storage is written to before a layer call begins."""
        return sum(at < self.starts[order] for at in self._writes[number])

    def _number(self, value: Tensor, at: int) -> int:
        storage = value.untyped_storage()
        if storage._cdata not in self._numbers:
            self._numbers[storage._cdata] = len(self.last)
            self._alive.append(storage)
            self.first.append(at)
            self.last.append(at)
            self.bytes.append(storage.nbytes())
            self._writes.append([])
        return self._numbers[storage._cdata]

    def _run(self, at: int, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        read = {self._number(leaf, -1) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        written = tuple(self._number(value, at) for value in written_by(func, args, kwargs))
        depends = not read.isdisjoint(self._dependent)
        result = func(*args, **kwargs)
        known = len(self.last)
        leaves = tree_leaves(result)
        numbers = [self._number(leaf, at) if isinstance(leaf, Tensor) else None for leaf in leaves]
        if depends:
            self._dependent |= {*written, *(number for number in numbers if number is not None)}
        for number in {*read, *written, *(number for number in numbers if number is not None)}:
            self.last[number] = at
        for number in written:
            self._writes[number].append(at)
        made = tuple(number if number is not None and number >= known else None for number in numbers)
        is_view = not written and all(number is not None and number < known for number in numbers)
        self.operations.append(Operation(func, depends and not is_view, made, written))
        return result


def written_by(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Return the tensors that an operation writes to."""
    found = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            found += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return found


@dataclass(frozen=True, slots=True)
class _Form:
    """Everything of a tensor but its numbers."""

    dtype: torch.dtype
    device: torch.device
    bytes: int
    offset: int
    shape: torch.Size
    strides: tuple[int, ...]

    @classmethod
    def of(cls, leaf: Any) -> Any:
        """Return the form of a tensor, and any other leaf as it is."""
        if not isinstance(leaf, Tensor):
            return leaf
        size, offset = leaf.untyped_storage().nbytes(), int(leaf.storage_offset())
        return cls(leaf.dtype, leaf.device, size, offset, leaf.shape, leaf.stride())

    def on(self, storage: Any) -> Tensor:
        """Return the tensor on a storage."""
        empty = torch.empty(0, dtype=self.dtype, device=self.device)
        return empty.set_(storage, self.offset, self.shape, self.strides)


Forms = tuple[list[Any], TreeSpec]
"""Leaves of a result, tensors by their forms, and its structure."""


class Resumed(_Counted):  # type: ignore[no-untyped-call]
    """Runs one part of the images through a program, without the operations before a layer call.

    Args:
        order: the layer call where the part stopped before, None if it begins.
        forms: forms of the results of this part; kept between its passes.
        kept: the storages that were kept when the part stopped.
    """

    def __init__(self, program: Program, part: int, order: int | None, forms: dict[int, Forms], kept: Kept) -> None:
        super().__init__()
        self._program, self._part, self._forms, self._kept = program, part, forms, kept
        self._start = 0 if order is None else program.starts[order]
        self._keys = {} if order is None else {n: (n, program.version(n, order)) for n in program.needed(order)}
        self._held: dict[int, Any] = {}
        self._loaded: set[int] = set()

    def keep(self, order: int) -> None:
        """Keep the storages that are read after a layer call that begins now."""
        if self.at != self._program.starts[order]:
            raise Diverged
        for number in self._program.needed(order):
            if number not in self._held:
                raise Diverged
            with self.paused():
                self._kept.put((number, self._program.version(number, order)), self._part, self._held[number])

    def _run(self, at: int, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operations = self._program.operations
        if at >= len(operations) or operations[at].function is not func:
            raise Diverged
        operation = operations[at]
        if at < self._start and operation.skipped:
            return self._skip(at, operation, written_by(func, args, kwargs))
        result = func(*args, **kwargs)
        leaves, structure = tree_flatten(result)
        if operation.skipped and at not in self._forms:
            self._forms[at] = [_Form.of(leaf) for leaf in leaves], structure
        for leaf, number in zip(leaves, operation.made, strict=True):
            if number is not None:
                self._held[number] = leaf.untyped_storage()
        for number in [number for number in self._held if self._program.last[number] <= at]:
            del self._held[number]
        return result

    def _skip(self, at: int, operation: Operation, written: list[Tensor]) -> Any:
        """Return a result without its numbers, unless they were kept."""
        for value, changed in zip(written, operation.written, strict=True):
            if changed in self._keys and changed not in self._loaded:
                self._held[changed] = value.untyped_storage().copy_(self._load(changed, value.device))
        forms, structure = self._forms[at]
        storages: dict[int, Any] = {}
        leaves = []
        for form, number in zip(forms, operation.made, strict=True):
            if number is not None:
                if number not in storages:
                    storages[number] = self._storage(number, form)
                leaves.append(form.on(storages[number]))
            elif isinstance(form, _Form):  # an operation in place returns what it writes to
                if len(written) != 1:
                    raise Diverged
                leaves.append(written[0])
            else:
                leaves.append(form)
        return tree_unflatten(leaves, structure)

    def _storage(self, number: int, form: _Form) -> Any:
        """Return a kept storage, or one of any content."""
        if number not in self._keys:
            return torch.empty(form.bytes, dtype=torch.uint8, device=form.device).untyped_storage()
        self._held[number] = self._load(number, form.device)
        return self._held[number]

    def _load(self, number: int, device: torch.device) -> Any:
        self._loaded.add(number)
        return self._kept.get(self._keys[number], self._part, device)
