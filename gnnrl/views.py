"""Registry of views: functions of higher packages that show an object as text or as HTML for a notebook.

`gnnrl/__init__.py` registers the views. A view's module is imported when the view is first used.
"""

from collections.abc import Mapping
from importlib import import_module

_HOMES: dict[str, tuple[str, str]] = {}


def register(homes: Mapping[str, tuple[str, str]]) -> None:
    """Register views: module and function by name of the view."""
    _HOMES.update(homes)


def show(view: str, thing: object) -> str | None:
    """Return an object's view, or None if no view of this name is registered."""
    if view not in _HOMES:
        return None
    module, function = _HOMES[view]
    return str(getattr(import_module(module), function)(thing))
