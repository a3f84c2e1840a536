"""Outputs of a network that must keep their shapes and meaning, among all tensors that it returns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnrl.errors import ConfigError

Outputs = Sequence[str | int] | Callable[[Any], Any]
"""Names or positions in what a network returns, or a function that takes it and returns some of its tensors."""


def tensors_of(result: Any) -> list[Tensor]:
    """Return all tensors in a result, in order."""
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


_MARK = "_gnnrl_outputs"


@dataclass(frozen=True, slots=True)
class Places:
    """Function that chooses outputs by their positions among all tensors that a network returns."""

    positions: tuple[int, ...]

    def __call__(self, result: Any) -> list[Tensor]:
        """Return the chosen tensors of a result."""
        tensors = tensors_of(result)
        return [tensors[position] for position in self.positions]


def mark(model: nn.Module, outputs: Outputs | None) -> None:
    """Let a network and its copies remember which of their outputs count; None changes nothing."""
    if outputs is not None:
        setattr(model, _MARK, outputs)


def counted(model: nn.Module, result: Any) -> Any:
    """Return the outputs that count of a result of a network: one tensor, or a list of several; by default all of it.

    Raises:
        ConfigError: the network does not return an output that counts.
    """
    outputs = vars(model).get(_MARK) or vars(getattr(model, "module", model)).get(_MARK)
    if outputs is None:
        return result
    found = Places(chosen_outputs(result, outputs))(result)
    return found[0] if len(found) == 1 else found


def parse_outputs(text: str | None) -> list[str | int] | None:
    """Read names and positions of outputs, joined by commas; None and an empty text stand for all outputs."""
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    return [int(part) if part.removeprefix("-").isdecimal() else part for part in parts] or None


def chosen_outputs(result: Any, outputs: Outputs) -> tuple[int, ...]:
    """Return the positions, among the tensors of a result, of those that are chosen.

    Raises:
        ConfigError: an output does not exist, or a function returns other tensors than those of the result.
    """
    if isinstance(outputs, str):
        outputs = [outputs]
    part = outputs(result) if callable(outputs) else [_at(result, name) for name in outputs]
    places = {id(tensor): place for place, tensor in enumerate(tensors_of(result))}
    found = [places.get(id(tensor)) for tensor in tensors_of(part)]
    if not found or None in found:
        raise ConfigError("outputs= must choose tensors that the network returns, unchanged; it chose none of them")
    return tuple(sorted({place for place in found if place is not None}))


def _at(result: Any, name: str | int) -> Any:
    values: Any = list(result.values()) if isinstance(result, Mapping) and isinstance(name, int) else result
    try:
        return getattr(values, name) if isinstance(name, str) and hasattr(values, name) else values[name]
    except (KeyError, IndexError, TypeError):
        known = ", ".join(map(str, result)) if isinstance(result, Mapping) else f"{len(tensors_of(result))} tensors"
        raise ConfigError(f"outputs={name!r}: the network does not return it; it returns {known}") from None


@contextmanager
def returning_tensors(model: nn.Module, result: Any, *, always: bool) -> Iterator[None]:
    """Let a network return only its tensors inside, if it returns caches or, with `always`, other unknown objects.

    Args:
        result: what the network returns.
    """
    others = [leaf for leaf in tree_leaves(result) if not isinstance(leaf, Tensor | int | float | str | None)]
    caches = [leaf for leaf in others if any("Cache" in kind.__name__ for kind in type(leaf).__mro__)]
    if not others or not tensors_of(result) or not (always or others == caches):
        yield
        return
    forward, own = model.forward, vars(model).get("forward")

    @wraps(forward)
    def tensors(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        return tuple(tensors_of(forward(*args, **kwargs)))

    model.forward = tensors
    try:
        yield
    finally:
        del model.forward
        if own is not None:
            model.forward = own
