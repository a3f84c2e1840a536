"""Imports that may fail: code of the user's own, and packages of an extra."""

import importlib
import importlib.util
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from gnnrl.errors import ConfigError, question

_FOLDERS: dict[str, None] = {}


def folders() -> list[str]:
    """Where modules were found that `imported` has loaded: other processes need these folders to find them again."""
    return [*_FOLDERS]


@contextmanager
def imported(spec: str) -> Iterator[Any]:
    """The attribute that a text names; its module may import its neighbours, as `python file.py` would, while used.

    Raises:
        ConfigError: there is no such file or attribute, or importing it failed; the message suggests a near name.
    """
    origin, _, name = spec.rpartition(":")
    folder = str(Path(origin).resolve().parent if origin.endswith(".py") else Path.cwd())
    sys.path.insert(0, folder)
    _FOLDERS[folder] = None
    try:
        module = _module(origin, spec)
        found = getattr(module, name, None)
        if not callable(found):
            known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            hint = question(name, known, most=3) or (f"there are {', '.join(known[:10])}" if known else "")
            raise ConfigError(f"{spec}: there is no function {name!r} in it{hint and f'; {hint}'}")
        yield found
    finally:
        sys.path.remove(folder)


def _module(origin: str, spec: str) -> ModuleType:
    try:
        if not origin.endswith(".py"):
            return importlib.import_module(origin)
        loader = SourceFileLoader(Path(origin).stem, origin)
        spec_of_file = ModuleSpec(loader.name, loader, origin=str(Path(origin).resolve()))
        spec_of_file.has_location = True  # so that the module has a `__file__`
        module = importlib.util.module_from_spec(spec_of_file)
        sys.modules.setdefault(loader.name, module)  # dataclasses and torch.export look a class's module up
        loader.exec_module(module)
    except FileNotFoundError as error:
        raise ConfigError(f"{spec}: there is no file {origin}.") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{spec}: importing {origin} failed with {type(error).__name__}: {error}") from error
    return module


def require(module: str, extra: str) -> Any:
    """Import a module of a package that belongs to an extra.

    Raises:
        ConfigError: it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name != package:
            raise
        raise ConfigError(f"{package} is not installed; run: {install_command(extra)}") from None


def install_command(extra: str) -> str:
    """Return a shell command that installs the packages of an extra beside the running Python.

    The packages are named one by one, so the command works wherever gnnrl itself was installed from.
    """
    beside = Path(shutil.which("pip") or "").parent == Path(sys.executable).parent
    pip = ["pip"] if beside else [sys.executable, "-m", "pip"]
    command = shlex.join([*pip, "install", *_packages(extra)])
    return command.replace("'", '"') if os.name == "nt" else command


def _packages(extra: str) -> list[str]:
    """Return the requirements of an extra; of a source tree that is not installed, the tree with its extra."""
    try:
        declared = metadata.requires("gnnrl-compress") or []
    except metadata.PackageNotFoundError:
        return [f"{Path(__file__).parents[1]}[{extra}]"]
    marked = (line.partition(";") for line in declared)
    return [package.strip() for package, _, marker in marked if re.search(rf"\bextra == ['\"]{extra}['\"]", marker)]
