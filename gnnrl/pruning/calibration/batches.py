"""Calibration data: the first images of the batches that a user gives."""

import contextlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from gnnrl.errors import DataError
from gnnrl.modules.outputs import counted
from gnnrl.network.tracing.tracer import as_arguments, batch_size_of
from gnnrl.pruning.calibration.columns import Column

_LABELS = ("labels", "label", "targets", "target")


@dataclass(frozen=True, slots=True)
class Feed:
    """Puts inputs into the arguments of a network as the example inputs were; one by one if there are none.

    Attributes:
        leaves: leaves of the example inputs, None at the places of inputs. Numbers, flags and tensors without samples
            stay as they are.
        places: positions of the inputs among the leaves, in order.
    """

    leaves: tuple[Any, ...] = ()
    places: tuple[int, ...] = ()
    structure: TreeSpec | None = None

    @classmethod
    def like(cls, example_inputs: Any) -> "Feed":
        """Return the feed of example inputs as `trace` takes them."""
        if example_inputs is None:
            return cls()
        arguments = as_arguments(example_inputs)
        leaves, structure = tree_flatten(arguments)
        size = batch_size_of(*arguments)
        places = tuple(place for place, leaf in enumerate(leaves) if _holds_samples(leaf, size))
        return cls(tuple(None if place in places else leaf for place, leaf in enumerate(leaves)), places, structure)

    def run(self, model: nn.Module, inputs: Sequence[Tensor]) -> Any:
        """Return the outputs that count; fewer inputs than in the example go by position.

        The network gets copies, for it may write to them.
        """
        inputs = [value.clone() for value in inputs]
        if self.structure is None or len(inputs) != len(self.places):
            return counted(model, model(*inputs))
        leaves = list(self.leaves)
        for place, value in zip(self.places, inputs, strict=True):
            leaves[place] = value
        args, kwargs = tree_unflatten(leaves, self.structure)
        return counted(model, model(*args, **kwargs))


def gather(
    data: Iterable[Any], images: int, model: nn.Module, example_inputs: Any = None
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Collect the first images of a loader: the inputs of one forward pass, and the labels or None.

    Args:
        data: batches of tensors, inputs in the order of the example inputs, then labels; or dictionaries with the keys
            of the example inputs and labels ("labels" or the only other key). Lists of numbers are read as tensors.
        example_inputs: the inputs that the network was traced with; batches with more inputs are refused.
    """
    columns: list[Column] = []
    first: Sequence[Tensor] = ()
    seen = 0
    images = max(images, 2)
    for batch in data:
        items = _items(batch, example_inputs)
        if not all(isinstance(item, Tensor) for item in items):
            raise DataError(
                "calibration batches must be tensors x, or tuples (x, y) or (x1, x2, ..., y), or dictionaries with the "
                f"keys of example_inputs; got {type(items[0]).__name__}"
            )
        first = first or items
        columns = columns or [Column() for _ in items]
        if len(items) != len(columns):
            raise DataError("calibration batches differ in their number of tensors")
        _check_shapes(items, first)
        for column, item in zip(columns, items, strict=True):
            column.add(item)
        seen += len(items[0])
        if seen >= images:
            break
    if not seen:
        raise DataError(
            "the calibration data has no batches; give a loader or a list of batches (a generator runs dry)"
        )
    if seen < 2:
        raise DataError("calibration needs at least 2 images, better a few hundred: one has no variance; got 1")
    joined = [column.joined()[:images] for column in columns]
    known = len(Feed.like(example_inputs).places)
    least = known if known and len(joined) in (known, known + 1) else _arity(model)
    labels = joined.pop() if len(joined) > least else None
    if known and len(joined) > known:
        one = "x" if known == 1 else ", ".join(f"x{number + 1}" for number in range(known))
        raise DataError(
            f"calibration batches hold {len(joined)} inputs{'' if labels is None else ' and labels'}, but the network "
            f"was traced with {known}: give batches ({one}, y), or example inputs for all that it is to take"
        )
    return tuple(joined), labels


def _items(batch: Any, example_inputs: Any) -> list[Any]:
    """Return the tensors of a batch in the order of the example inputs, labels last."""
    if isinstance(batch, Mapping):
        args, kwargs = as_arguments(example_inputs)
        size = batch_size_of(args, kwargs)
        example = {key: value for part in (*args, kwargs) if isinstance(part, Mapping) for key, value in part.items()}
        keys = [key for key, value in example.items() if _holds_samples(value, size)]
        if keys and (missing := [key for key in keys if key not in batch]):
            raise DataError(
                f"calibration batches have no {missing[0]!r}, which example_inputs have; there are "
                f"{', '.join(map(repr, batch))}"
            )
        rest = [key for key in batch if key not in example]
        labels = [key for key in _LABELS if key in rest] or (rest if len(rest) == 1 else [])
        if keys:
            inputs = [_tensor(batch[key]) for key in keys]
            if single := all(value.ndim + 1 == example[key].ndim for key, value in zip(keys, inputs, strict=True)):
                inputs = [value[None] for value in inputs]
            return [*inputs, *(_tensor([batch[key]] if single else batch[key]) for key in labels[:1])]
    items = list(batch) if isinstance(batch, tuple | list) else [batch]
    # Drop tensors that all samples share.
    leaves = [leaf for leaf in tree_leaves(as_arguments(example_inputs)) if isinstance(leaf, Tensor)]
    size = batch_size_of((leaves,), {})
    shared = {at for at, leaf in enumerate(leaves[: len(items)]) if not _holds_samples(leaf, size)}
    if all(getattr(items[at], "shape", ()) == leaves[at].shape for at in shared):
        items = [item for at, item in enumerate(items) if at not in shared]
    *inputs, last = map(_tensor, items)
    return [*inputs, *([] if inputs and not isinstance(last, Tensor) else [last])]


def _holds_samples(value: Any, size: int) -> bool:
    """Return whether an example input is a tensor with one entry for each of this many samples."""
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == size


def _tensor(value: Any) -> Any:
    """Return lists of numbers as a tensor, and anything else as it is."""
    with contextlib.suppress(TypeError, ValueError, RuntimeError):
        return torch.as_tensor(value)
    return value


def _arity(model: nn.Module) -> int:
    """Return the number of inputs that the network needs."""
    parameters = inspect.signature(model.forward).parameters.values()
    required = [
        p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return max(len(required), 1)


def _check_shapes(items: Sequence[Tensor], first: Sequence[Tensor]) -> None:
    """Refuse a batch whose tensors differ in their number of samples, or from the first batch in their shapes."""
    shapes = ", ".join(str(list(item.shape)) for item in items)
    if any(item.ndim == 0 or len(item) != len(items[0]) for item in items):
        raise DataError(f"the tensors of a calibration batch have different numbers of samples: {shapes}")
    if any(a.shape[1:] != b.shape[1:] for a, b in zip(items, first, strict=True)):
        others = ", ".join(str(list(item.shape)) for item in first)
        raise DataError(f"calibration batches of {others} and of {shapes}: give all samples the same shape")
