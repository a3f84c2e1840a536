"""Facts that a node of an exported program carries: its arguments, and the modules that it belongs to."""

import re
from functools import cache
from typing import Any

from torch import fx


def enclosing_modules(node: fx.Node) -> tuple[tuple[str, str], ...]:
    """Return (path, class name) of the modules that contain an operation, outermost first."""
    stack = node.meta.get("nn_module_stack") or {}
    entries = [(path, name if isinstance(name, str) else name.__name__) for path, name in stack.values()]
    plain = ((re.sub(r"@\d+$", "", path) if "@" in path else path, name) for path, name in entries)
    return tuple((path, name.rpartition(".")[2]) for path, name in plain)


def arguments_of(node: fx.Node) -> dict[str, Any]:
    """Return the arguments of an operation by the names of its schema, with defaults."""
    if getattr(node.target, "_schema", None) is None:
        return {str(position): value for position, value in enumerate(node.args)} | dict(node.kwargs)
    arguments = _schema_arguments(node.target)
    given = dict(zip((name for name, _ in arguments), node.args, strict=False))
    return {name: given[name] if name in given else node.kwargs.get(name, default) for name, default in arguments}


@cache
def _schema_arguments(target: Any) -> tuple[tuple[str, Any], ...]:
    """Return names and defaults of an operator's arguments."""
    return tuple((argument.name, argument.default_value) for argument in target._schema.arguments)
