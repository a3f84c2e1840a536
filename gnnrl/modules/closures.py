"""Functions among the attributes of a network that hold modules or tensors of it, which `deepcopy` does not copy."""

from collections.abc import Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from torch import nn

from gnnrl.errors import ConfigError

_OF_TORCH = {"_modules", "_parameters", "_buffers", "_compiled_call_impl"}


def check_functions(model: nn.Module) -> None:
    """Refuse a network with an attribute that is a function over modules or tensors of the network.

    Raises:
        ConfigError: there is such an attribute. The message names it, what it holds, and the line of the function.
    """
    functions = [
        (path, attribute, function)
        for path, module in model.named_modules()
        for attribute, value in vars(module).items()
        if "hooks" not in attribute and attribute not in _OF_TORCH
        for function in _functions(value)
    ]
    if not functions:
        return
    known: dict[int, str] = {}
    for names in (model.named_buffers(), model.named_parameters(), model.named_modules()):
        known.update((id(part), name or type(model).__name__) for name, part in names)
    for path, attribute, function in functions:
        if held := sorted({known[id(part)] for part in _held(function, set()) if id(part) in known}):
            code = function.__code__
            raise ConfigError(
                f"{attribute} of {path or type(model).__name__} holds a function over {', '.join(held)} "
                f"({code.co_filename}:{code.co_firstlineno}): a copy of the network would still use the original's. "
                "Make it a method or a module, for example an nn.Sequential in an nn.ModuleList"
            )


def _functions(value: Any) -> Iterator[FunctionType]:
    if isinstance(value, FunctionType):
        yield value
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _functions(item)


def _held(value: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the objects that a function keeps in its closure and its defaults, directly or through other functions."""
    if id(value) in seen:
        return
    seen.add(id(value))
    inner: list[Any] = []
    if isinstance(value, FunctionType):
        cells = [cell for cell in value.__closure__ or () if cell != type(cell)()]
        inner = [*(cell.cell_contents for cell in cells), *(value.__defaults__ or ())]
        inner += (value.__kwdefaults__ or {}).values()
    elif isinstance(value, MethodType):
        inner = [value.__self__, value.__func__]
    elif isinstance(value, partial):
        inner = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, list | tuple | dict):
        inner = list(value.values() if isinstance(value, dict) else value)
    else:
        yield value
    for item in inner:
        yield from _held(item, seen)
