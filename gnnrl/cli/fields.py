"""Options declared once: a command takes the fields of its dataclass parameters as options."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, TypeGuard, get_args, get_origin

from gnnrl.cli.options import PANELS

_TEXTS = tuple[str, ...]


def takes_fields(*, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Expand the dataclass parameters of a command into options; the command is called with objects of their values.

    A field is annotated like an option (`Annotated[int, typer.Option(...)]`); a field that is a dataclass is expanded
    as well. If several parameters or fields have one name, the first one's option is used, parameters
    first.

    Args:
        without: fields that are not options of this command; they have their defaults.
    """

    def expand(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = signature.parameters
        parts = {name: found.annotation for name, found in own.items() if _is_part(found.annotation)}
        expanded = [found.replace(kind=found.KEYWORD_ONLY) for name, found in own.items() if name not in parts]
        for part in parts.values():
            known = {*own, *without, *(found.name for found in expanded)}
            expanded += [found for found in _options(part) if found.name not in known]
        expanded.sort(key=_place)

        @wraps(command)
        def run(**given: Any) -> None:
            objects = {name: build(part, given) for name, part in parts.items()}
            command(**{name: value for name, value in given.items() if name in own}, **objects)

        run.__signature__ = signature.replace(parameters=expanded)  # type: ignore[attr-defined]
        run.__annotations__ = {found.name: found.annotation for found in expanded}
        return run

    return expand


def build(part: type, given: Mapping[str, Any]) -> Any:
    """Make an object of a dataclass from the values of options; missing ones have their defaults."""
    values: dict[str, Any] = {}
    for field in fields(part):
        if _is_part(field.type):
            values[field.name] = build(field.type, given)
        elif field.name in given:
            value = given[field.name]
            values[field.name] = tuple(value or ()) if _base(field) == _TEXTS else value
    return part(**values)


def _options(part: Any) -> Iterator[inspect.Parameter]:
    for field in fields(part):
        if _is_part(field.type):
            yield from _options(field.type)
        elif get_origin(field.type) is Annotated:
            yield _option(field)


def _option(field: "Field[Any]") -> inspect.Parameter:
    annotation, default = field.type, field.default
    if _base(field) == _TEXTS:  # the command line gives lists
        annotation, default = Annotated[list[str] | None, *get_args(field.type)[1:]], None
    default = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _base(field: "Field[Any]") -> Any:
    return get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type


def _is_part(annotation: Any) -> TypeGuard[type]:
    return isinstance(annotation, type) and is_dataclass(annotation)


def _place(parameter: inspect.Parameter) -> tuple[bool, int]:
    """Return the place of an option in the help: required ones first, then by panel."""
    found = next((getattr(each, "rich_help_panel", None) for each in get_args(parameter.annotation)[1:]), None)
    panel = PANELS.index(found) if found in PANELS else len(PANELS)
    return parameter.default is not inspect.Parameter.empty, panel
