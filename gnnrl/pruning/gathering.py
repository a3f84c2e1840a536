"""Calibration data as a user gives them: batches, of which the first images are joined."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.errors import DataError


def gather(
    data: Iterable[Any], images: int, model: nn.Module, example_inputs: Any = None
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Collect the first images of a loader: the inputs of one forward pass and the labels, if any.

    Args:
        example_inputs: what the network was traced with; batches with more inputs are refused.
    """
    parts: list[Sequence[Tensor]] = []
    seen = 0
    images = max(images, 2)
    for batch in data:
        items = list(batch) if isinstance(batch, tuple | list) else [batch]
        if not all(isinstance(item, Tensor) for item in items):
            raise DataError(f"calibration batches must be tensors x or tuples (x, y), got {type(items[0]).__name__}")
        if parts and len(items) != len(parts[0]):
            raise DataError("calibration batches differ in their number of tensors")
        _check_shapes(items, parts[0] if parts else items)
        parts.append(items)
        seen += len(items[0])
        if seen >= images:
            break
    if not seen:
        raise DataError(
            "the calibration data has no batches; give a loader or a list of batches (a generator runs dry)"
        )
    if seen < 2:
        raise DataError("calibration needs at least 2 images, better a few hundred: one has no variance; got 1")
    joined = [torch.cat(column)[:images] for column in zip(*parts, strict=True)]
    labels = joined.pop() if len(joined) > _arity(model) else None
    _check_number(len(joined), labels is not None, example_inputs)
    return tuple(joined), labels


def _arity(model: nn.Module) -> int:
    """How many inputs the network needs at least."""
    parameters = inspect.signature(model.forward).parameters.values()
    required = [
        p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return max(len(required), 1)


def _check_number(found: int, labelled: bool, example_inputs: Any) -> None:
    """Check that batches hold no inputs that the trace did not see: what they reach may not fit any more."""
    leaves = torch.utils._pytree.tree_leaves(example_inputs)
    expected = sum(isinstance(leaf, Tensor) for leaf in leaves)
    if expected and found > expected:
        one = "x" if expected == 1 else ", ".join(f"x{number + 1}" for number in range(expected))
        raise DataError(
            f"calibration batches hold {found} inputs{' and labels' if labelled else ''}, but the network was traced "
            f"with {expected}: give batches ({one}, y), or example inputs for all that it is to take"
        )


def _check_shapes(items: Sequence[Tensor], first: Sequence[Tensor]) -> None:
    """Check that the tensors of a batch have as many samples each, and samples of the same shape as the first batch."""
    shapes = ", ".join(str(list(item.shape)) for item in items)
    if any(item.ndim == 0 or len(item) != len(items[0]) for item in items):
        raise DataError(f"the tensors of a calibration batch have different numbers of samples: {shapes}")
    if any(a.shape[1:] != b.shape[1:] for a, b in zip(items, first, strict=True)):
        others = ", ".join(str(list(item.shape)) for item in first)
        raise DataError(f"calibration batches of {others} and of {shapes}: give all samples the same shape")
