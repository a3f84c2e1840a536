"""Previous names of modules: importing one still works, with a DeprecationWarning."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class MovedModules(MetaPathFinder, Loader):
    """Finder of modules under their previous names.

    Args:
        homes: current name by previous name.
    """

    def __init__(self, homes: Mapping[str, str]) -> None:
        self._homes = homes

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return a spec if the name is a previous one."""
        return ModuleSpec(name, self) if name in self._homes else None

    def exec_module(self, module: ModuleType) -> None:
        """Warn, and replace the module by the one of the current name."""
        home = self._homes[module.__name__]
        warnings.warn(f"{module.__name__} is called {home} now", DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = import_module(home)
