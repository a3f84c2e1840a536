"""The floors of the house (DESIGN section 6): a module imports only from lower floors."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import gnnrl

ROOT = Path(gnnrl.__file__).parent
FILES = {
    ".".join(("gnnrl", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
ALLOWED = {
    "gnnrl.errors": set(),
    "gnnrl.version": set(),
    "gnnrl.views": set(),
    "gnnrl.formats": {"gnnrl.version", "gnnrl.errors"},
    "gnnrl.clock": set(),
    "gnnrl.imports": {"gnnrl.errors"},
    "gnnrl.files": {"gnnrl.errors"},
    "gnnrl.target": {"gnnrl.files", "gnnrl.errors"},
    "gnnrl.agent": {"gnnrl.agent", "gnnrl.errors"},
    "gnnrl.network": {"gnnrl.network", "gnnrl.views", "gnnrl.errors"},
    "gnnrl.zoo": {"gnnrl.zoo", "gnnrl.imports", "gnnrl.errors"},
    "gnnrl.pruning": {"gnnrl.pruning", "gnnrl.views", "gnnrl.network", "gnnrl.formats", "gnnrl.errors"},
    "gnnrl.training": {
        "gnnrl.training",
        "gnnrl.runs",
        "gnnrl.network.copies",
        "gnnrl.network.modes",
        "gnnrl.zoo",
        "gnnrl.files",
        "gnnrl.errors",
    },
    "gnnrl.latency": {"gnnrl.latency", "gnnrl.pruning", "gnnrl.network", "gnnrl.errors"},
    "gnnrl.evaluation": {"gnnrl.pruning", "gnnrl.network", "gnnrl.errors"},
    "gnnrl.runs": {
        "gnnrl.runs",
        "gnnrl.evaluation",
        "gnnrl.latency.ledger",
        "gnnrl.target",
        "gnnrl.formats",
        "gnnrl.files",
        "gnnrl.errors",
    },
    "gnnrl.environment": {
        "gnnrl.environment",
        "gnnrl.agent.observation",
        "gnnrl.pruning",
        "gnnrl.network",
        "gnnrl.errors",
    },
    "gnnrl.per_class": {"gnnrl.training", "gnnrl.zoo", "gnnrl.errors"},
    "gnnrl.bundle": {
        "gnnrl.pruning",
        "gnnrl.network",
        "gnnrl.target",
        "gnnrl.formats",
        "gnnrl.files",
        "gnnrl.errors",
    },
    "gnnrl.report": {
        "gnnrl.report",
        "gnnrl.version",
        "gnnrl.bundle",
        "gnnrl.target",
        "gnnrl.files",
        "gnnrl.evaluation",
        "gnnrl.pruning",
        "gnnrl.network",
        "gnnrl.errors",
    },
    "gnnrl.exporting": {
        "gnnrl.exporting",
        "gnnrl.bundle",
        "gnnrl.network",
        "gnnrl.files",
        "gnnrl.imports",
        "gnnrl.errors",
    },
    "gnnrl.executors": {
        "gnnrl.executors",
        "gnnrl.evaluation",
        "gnnrl.training",
        "gnnrl.zoo",
        "gnnrl.imports",
        "gnnrl.errors",
    },
    "gnnrl.searchers": {
        "gnnrl.searchers",
        "gnnrl.agent",
        "gnnrl.environment",
        "gnnrl.evaluation",
        "gnnrl.pruning",
        "gnnrl.network",
        "gnnrl.imports",
        "gnnrl.errors",
    },
}
TOP = ("gnnrl.cli", "gnnrl.__main__")


def imports(module: str, *, when_loaded: bool = False) -> set[str]:
    """Modules of the package that a module imports, wherever in it (or only when it is loaded), type checking aside."""
    found: set[str] = set()
    hidden: set[int] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            hidden |= {id(inner) for inner in ast.walk(node)}
        if when_loaded and isinstance(node, ast.FunctionDef):
            hidden |= {id(inner) for inner in ast.walk(node)}
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "gnnrl"}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import"
            if (node.module or "").split(".")[0] == "gnnrl":
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {name for name in inner if name in FILES} or {str(node.module)}
    return found


def within(name: str, floor: str) -> bool:
    return name == floor or name.startswith(f"{floor}.")


@pytest.mark.parametrize("module", sorted(FILES))
def test_modules_import_from_lower_floors_only(module: str) -> None:
    floor = next((floor for floor in ALLOWED if within(module, floor)), None)
    if floor is None:
        assert (
            not any(within(name, top) for name in imports(module) for top in TOP)
            or within(module, "gnnrl.cli")
            or module in TOP
        )
        return
    too_high = {name for name in imports(module) if not any(within(name, lower) for lower in ALLOWED[floor])}

    assert not too_high


@pytest.mark.parametrize("module", sorted(FILES))
def test_nobody_imports_from_the_front_door(module: str) -> None:
    assert "gnnrl" not in imports(module) or module in TOP


def test_there_are_no_import_cycles() -> None:
    graph = {module: {*imports(module, when_loaded=True)} & {*FILES} - {module} for module in FILES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {error.args[1]}")


@pytest.mark.parametrize("module", sorted(FILES))
def test_every_module_says_what_it_is_about(module: str) -> None:
    assert ast.get_docstring(ast.parse(FILES[module].read_text())), f"{module} has no docstring"


@pytest.mark.parametrize("module", sorted(FILES))
def test_only_the_command_line_prints(module: str) -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(FILES[module].read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert not calls or within(module, "gnnrl.cli")


@pytest.mark.parametrize("module", sorted(FILES))
def test_nothing_is_configured_when_a_module_is_imported(module: str) -> None:
    """No seed, thread, device or logging is set at import."""
    setters = {"manual_seed", "set_num_threads", "set_default_device", "set_default_dtype", "basicConfig", "seed"}
    for node in ast.parse(FILES[module].read_text()).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            assert getattr(node.value.func, "attr", "") not in setters


def test_no_pickle_is_read_but_weights() -> None:
    for module, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords), module
            assert not (
                isinstance(node, ast.Import) and any(alias.name == "pickle" for alias in node.names)
            ) or "unpickl" in (path.read_text().lower()), module


def test_the_front_door_is_sorted_and_everything_behind_it_is_there() -> None:
    assert gnnrl.__all__ == sorted(gnnrl.__all__)
    assert dir(gnnrl) == gnnrl.__all__
    for name in gnnrl.__all__:
        assert getattr(gnnrl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'prunee'"):
        _ = gnnrl.prunee


def test_what_type_checkers_see_is_what_is_there() -> None:
    declared = {
        alias.asname
        for node in ast.walk(ast.parse(FILES["gnnrl"].read_text()))
        if isinstance(node, ast.If)
        for inner in node.body
        if isinstance(inner, ast.ImportFrom)
        for alias in inner.names
    }

    assert declared | {"__version__"} == set(gnnrl.__all__)


def test_all_modules_can_be_imported() -> None:
    for module in pkgutil.walk_packages(gnnrl.__path__, "gnnrl."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def test_importing_gnnrl_loads_neither_torch_nor_torch_geometric() -> None:
    script = "import sys, gnnrl; sys.exit(any(name in sys.modules for name in ('torch', 'torch_geometric', 'numpy')))"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_errors_have_exit_codes_and_one_root() -> None:
    from gnnrl import errors

    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    found = [kind for kind in kinds if not issubclass(kind, Warning)]
    assert all(issubclass(error, errors.GnnrlError) and 1 <= error.exit_code <= 9 for error in found)
    assert all(error.__doc__ for error in found)
