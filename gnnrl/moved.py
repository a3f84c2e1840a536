"""Previous names of modules and of what they hold: they still work, with a DeprecationWarning."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


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
        warn_renamed(module.__name__, home)
        sys.modules[module.__name__] = import_module(home)


def renamed(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module some of whose names have changed.

    Args:
        homes: current module and name, `gnnrl.scoring.plans:Scorer`, by previous name.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, current = homes[name].partition(":")
        warn_renamed(f"{module}.{name}", f"{home}.{current}", stacklevel=3)
        return getattr(import_module(home), current)

    return find


def warn_renamed(before: str, now: str, stacklevel: int = 3) -> None:
    """Warn that something is used under its previous name."""
    warnings.warn(f"{before} is called {now} now", DeprecationWarning, stacklevel=stacklevel)
