"""Bytecode of the user's modules: names that it reads, assigns or compares."""

import dis
from collections.abc import Iterator
from types import CodeType

from torch import nn


def _methods(kind: type) -> Iterator[CodeType]:
    """Yield the code of the methods that a user's class has or inherits, without `__init__`."""
    for base in kind.__mro__:
        if not base.__module__.startswith(("torch.", "builtins")):
            for name, value in vars(base).items():
                code = getattr(value, "__code__", None)
                if name != "__init__" and isinstance(code, CodeType):
                    yield code


def reads_mode(model: nn.Module) -> bool:
    """Return whether code of the user's modules reads `training`."""
    return any("training" in code.co_names for kind in {*map(type, model.modules())} for code in _methods(kind))


def assignment(kind: type, attribute: str) -> str:
    """Return file:line where a class assigns an attribute outside `__init__`, or ""."""
    for code in _methods(kind):
        for step in dis.get_instructions(code):
            if step.opname == "STORE_ATTR" and step.argval == attribute and step.positions:
                return f"{code.co_filename}:{step.positions.lineno}"
    return ""


def comparison(model: nn.Module) -> tuple[str, str]:
    """Return the first module with code that compares shapes in one line, and file:line; or empty texts."""
    kinds: dict[type, str] = {}
    for name, module in model.named_modules():
        kinds.setdefault(type(module), name)
    for kind, name in kinds.items():
        for code in _methods(kind):
            steps = [step for step in dis.get_instructions(code) if step.positions]
            shapes = [step.positions.lineno for step in steps if step.positions and step.argval in ("shape", "size")]
            lines = [step.positions.lineno for step in steps if step.positions and step.opname == "COMPARE_OP"]
            for line in lines:
                if shapes.count(line) > 1:
                    return name, f"{code.co_filename}:{line}"
    return "", ""


def names_read_in_forward(model: nn.Module) -> set[str]:
    """Return the names that `forward` of any of the user's modules reads, itself or in methods that it calls."""
    found: set[str] = set()
    for kind in {type(module) for module in model.modules()}:
        methods: dict[str, list[CodeType]] = {}
        for code in _methods(kind):
            methods.setdefault(code.co_name, []).append(code)
        waiting, seen = ["forward"], {"forward"}
        while waiting:
            for code in _nested(methods.get(waiting.pop(), [])):
                found.update(code.co_names)
                new = methods.keys() & set(code.co_names) - seen
                seen |= new
                waiting += new
    return found


def _nested(codes: list[CodeType]) -> Iterator[CodeType]:
    """Yield codes, and those of the functions and comprehensions inside them."""
    for code in codes:
        yield code
        yield from _nested([part for part in code.co_consts if isinstance(part, CodeType)])
