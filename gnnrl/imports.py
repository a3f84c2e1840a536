"""Imports that may fail: the user's code, and packages of an extra."""

import importlib
import importlib.util
import os
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from gnnrl.errors import ConfigError, is_out_of_memory, question

_FOLDERS: dict[str, None] = {}
_FULL = {"PIL", "filelock", "gymnasium", "jinja2", "pydantic", "rich", "torch_geometric", "typer"}
"""Modules of the extra `full`, which everything but the core needs."""


def folders() -> list[str]:
    """Return the folders of all modules that `imported` loaded; other processes need them to find these modules."""
    return [*_FOLDERS]


@contextmanager
def imported(spec: str) -> Iterator[Any]:
    """Import the attribute that a text names. Inside, its module can import its neighbours, as in `python file.py`.

    Raises:
        ConfigError: there is no such file or attribute, or the import failed. The message suggests a similar name.
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


def made(spec: str) -> Any:
    """Return the result of a factory that a text names.

    Raises:
        ConfigError: the factory cannot be imported, or it failed.
    """
    with imported(spec) as factory:
        try:
            return factory()
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error):
                raise
            name = spec.rpartition(":")[2]
            raise ConfigError(f"{spec}: {name}() failed with {type(error).__name__}: {error}") from error


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
    """Import a module of a package that belongs to an extra. What it warns of while it is imported is not shown.

    Raises:
        ConfigError: the package is not installed. The message says how to install it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cma, of a matplotlib that is not there
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name != package:
            raise
        raise ConfigError(f"{package} is not installed; run: {install_command(extra)}") from None


@contextmanager
def beyond_the_core(what: str) -> Iterator[None]:
    """Import inside what only the extra `full` can run.

    Raises:
        ConfigError: a package of `full` is not installed. The message says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _FULL:
            raise
        raise ConfigError(
            f"{what} needs {error.name}, which is not installed; run: {install_command('full')}"
        ) from None


def install_command(extra: str) -> str:
    """Return a shell command that installs the packages of an extra for the running Python.

    The command names every package, so it works wherever gnnrl was installed from.
    """
    own_pip = Path(shutil.which("pip") or "").parent == Path(sys.executable).parent
    pip = ["pip"] if own_pip else [sys.executable, "-m", "pip"]
    command = shlex.join([*pip, "install", *_packages(extra)])
    return command.replace("'", '"') if os.name == "nt" else command


def _packages(extra: str) -> list[str]:
    """Return the requirements of an extra; its source tree with the extra, where gnnrl is not installed as it is."""
    from importlib import metadata  # takes as long as all other imports of `import gnnrl` together

    try:
        declared = metadata.requires("gnnrl-compress") or []
    except metadata.PackageNotFoundError:
        declared = []
    marked = (line.partition(";") for line in declared)
    found = [package.strip() for package, _, marker in marked if re.search(rf"\bextra == ['\"]{extra}['\"]", marker)]
    return found or [f"{Path(__file__).parents[1]}[{extra}]"]
