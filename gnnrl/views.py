"""Views of objects for people, which higher floors make: a network as text, or as HTML for a notebook.

The front door registers where each view is. A view is imported when it is first asked for.
"""

from collections.abc import Mapping
from importlib import import_module

_HOMES: dict[str, tuple[str, str]] = {}


def register(homes: Mapping[str, tuple[str, str]]) -> None:
    """Register views: the module and the function that show an object, by the name of the view."""
    _HOMES.update(homes)


def show(view: str, thing: object) -> str | None:
    """Show an object; None if nobody registered this view."""
    if view not in _HOMES:
        return None
    module, function = _HOMES[view]
    return str(getattr(import_module(module), function)(thing))
