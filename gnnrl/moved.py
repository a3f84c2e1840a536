"""Modules under their previous names: an import of one still works, with a DeprecationWarning."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class MovedModules(MetaPathFinder, Loader):
    """Finds modules that were moved.

    Args:
        homes: the name of today by the previous one.
    """

    def __init__(self, homes: Mapping[str, str]) -> None:
        self._homes = homes

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Take the name if it is a previous one."""
        return ModuleSpec(name, self) if name in self._homes else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of today in its place."""
        home = self._homes[module.__name__]
        warnings.warn(f"{module.__name__} is called {home} now", DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = import_module(home)
