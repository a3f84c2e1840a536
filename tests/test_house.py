"""The floors of the house (DESIGN section 6): a module imports only from lower floors."""

import ast
import importlib
import pkgutil
import re
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
PACKAGES = sorted(module for module, path in FILES.items() if path.name == "__init__.py")
FLOORS = (
    {"errors", "moved", "version", "views"},
    {"imports", "modules", "storage", "agent"},
    {"network", "zoo"},
    {"pruning"},
    {"artifacts", "environment", "latency", "scoring"},
    {"report", "runs", "searchers", "training"},
    {"executors", "_seed_api"},
    {"compression", "graph_env", "lib", "models"},
    {"cli"},
    {"__main__"},
)
"""Folders and modules of the package, the ground floor first. What shares a floor does not know each other."""
NAME = re.compile(r"(gnnrl(?:\.\w+)+)(?::\w+)?")
CORE = Path(__file__).parent / "core.py"


def imports(module: str) -> set[str]:
    """Modules of the package that a module names: in imports anywhere in it, for type checking too, and in texts."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "gnnrl"}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import"
            if (node.module or "").split(".")[0] == "gnnrl":
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                modules = {name for name in inner if name in FILES}
                found |= modules if modules == inner else modules | {str(node.module)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (name := NAME.fullmatch(node.value)):
            found |= {name[1] if name[1] in FILES else name[1].rpartition(".")[0]} & {*FILES}
    return found


def top(module: str) -> str:
    """The folder or module of the package that a module belongs to."""
    return module.split(".")[1]


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


BEHIND = sorted({*FILES} - {"gnnrl"})
"""All modules but the front door, which alone may name everything."""
FLOOR_OF = {entry: number for number, entries in enumerate(FLOORS) for entry in entries}


def test_every_folder_and_module_has_one_floor() -> None:
    assert sum(map(len, FLOORS)) == len(FLOOR_OF)
    assert {*FLOOR_OF} == {top(module) for module in BEHIND}


@pytest.mark.parametrize("module", BEHIND)
def test_modules_import_from_lower_floors_only(module: str) -> None:
    others = {name for name in imports(module) if name == "gnnrl" or top(name) != top(module)}

    assert "gnnrl" not in others, "the front door"
    assert not {name for name in others if FLOOR_OF[top(name)] >= FLOOR_OF[top(module)]}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_files_and_folders_of_a_folder_do_not_import_in_a_circle(package: str) -> None:
    """A folder counts as one: none of its files may need a file beside it that needs the folder."""

    def entry(module: str) -> str:
        return ".".join(module.split(".")[: package.count(".") + 2])

    inside = [module for module in BEHIND if within(module, package)]
    graph: dict[str, set[str]] = {entry(module): set() for module in inside}
    for module in inside:
        graph[entry(module)] |= {entry(name) for name in imports(module) if name in inside} - {entry(module)}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {error.args[1]}")


def test_imports_in_text_and_for_type_checking_are_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written = tmp_path / "written.py"
    written.write_text(
        "if TYPE_CHECKING:\n    from gnnrl.agent.ppo import PPO\n\n"
        "def late():\n    from gnnrl.cli import options\n"
        'VIEWS = ("gnnrl.report.page", "gnnrl.artifacts.bundle:load", "gnnrl.compression.study.Study")\n'
        'TOLD = "see gnnrl.scoring.adapters"\n'
    )
    monkeypatch.setitem(FILES, "gnnrl.written", written)

    named = {
        "gnnrl.agent.ppo",
        "gnnrl.cli.options",
        "gnnrl.report.page",
        "gnnrl.artifacts.bundle",
        "gnnrl.compression.study",
    }
    assert imports("gnnrl.written") == named


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


def test_the_core_needs_only_torch_numpy_scipy_and_safetensors() -> None:
    """Tracing, planning, pruning, repairing, timing, saving and loading work where nothing else is installed."""
    done = subprocess.run([sys.executable, str(CORE)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["saved", "and", "loaded"]


def test_errors_have_exit_codes_and_one_root() -> None:
    from gnnrl import errors

    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    found = [kind for kind in kinds if not issubclass(kind, Warning)]
    assert all(issubclass(error, errors.GnnrlError) and 1 <= error.exit_code <= 9 for error in found)
    assert all(error.__doc__ for error in found)
