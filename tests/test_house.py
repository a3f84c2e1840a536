"""The floors of the house (DESIGN section 6): a module imports only from lower floors."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import gnnrl
from tests import house
from tests.house import BEHIND, FILES, FLOOR_OF, FLOORS, PACKAGES

CORE = Path(__file__).parent / "core.py"


def test_every_folder_and_module_has_one_floor() -> None:
    assert sum(map(len, FLOORS)) == len(FLOOR_OF)
    assert {*FLOOR_OF} == {house.top(module) for module in BEHIND}


@pytest.mark.parametrize("module", BEHIND)
def test_modules_import_from_lower_floors_only(module: str) -> None:
    assert not house.upstairs(module)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_files_and_folders_of_a_folder_do_not_import_in_a_circle(package: str) -> None:
    assert not house.circle(package)


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
    assert house.imports("gnnrl.written") == named


def test_a_way_upstairs_and_a_circle_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = {
        "a": "import gnnrl\nfrom gnnrl.network.b import x\nfrom gnnrl.errors import y",
        "b": 'c = "gnnrl.network.a"',
    }
    for name, line in lines.items():
        (tmp_path / name).write_text(f"{line}\nfrom gnnrl.pruning import rules\n")
        monkeypatch.setitem(FILES, f"gnnrl.network.{name}", tmp_path / name)
    monkeypatch.setattr(house, "BEHIND", ["gnnrl.network.a", "gnnrl.network.b"])

    assert house.upstairs("gnnrl.network.a") == ["gnnrl", "gnnrl.pruning.rules"]
    assert {*house.circle("gnnrl.network")} == {"gnnrl.network.a", "gnnrl.network.b"}


def test_files_and_functions_are_short() -> None:
    assert not house.long_files()
    assert not house.long_functions()


def test_modules_with_logic_have_a_test_of_their_name() -> None:
    assert not house.untested_modules()


def test_measures_count_what_they_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written = tmp_path / "written.py"
    written.write_text(
        "def wide(self, a, *, " + ", ".join(f"p{n}" for n in range(12)) + ") -> dict[str, Any]:\n"
        '    """Long."""\n' + "    x = 1\n" * 301 + "\n\n"
        'def command(self, a: Annotated[int, "an option"]) -> list[dict[str, Any]]: ...\n'
    )
    monkeypatch.setattr(house, "ROOT", tmp_path)
    monkeypatch.setattr(house, "PACKAGE", tmp_path)
    monkeypatch.setattr(house, "FILES", {"gnnrl.written": written})

    assert house.long_signatures() == ["written.py:1 wide (13)"]
    assert house.untyped_results() == ["written.py:1 wide", "written.py:306 command"]
    assert house.long_files() == ["written.py (306)"]
    assert house.long_functions() == ["written.py:1 wide (301)"]
    assert house.untested_modules() == ["written.py (302)"]
    assert [house.number_of_parameters(function) for function in house.functions(written)] == [13, 0]


def test_a_module_of_declarations_needs_no_test_of_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only the bodies of functions count, without docstrings, comments and blank lines; a test of the name suffices."""
    module, test = tmp_path / "gnnrl" / "room" / "written.py", tmp_path / "tests" / "room" / "test_written.py"
    logic = 'def long():\n    """Long."""\n\n    # why\n' + "    x = 1\n" * (house.MOST_UNTESTED + 1)
    for folder in (module.parent, test.parent):
        folder.mkdir(parents=True)
    monkeypatch.setattr(house, "ROOT", tmp_path)
    monkeypatch.setattr(house, "PACKAGE", tmp_path / "gnnrl")
    monkeypatch.setattr(house, "FILES", {"gnnrl.room.written": module})

    module.write_text("NAMES = {\n" + '    "a": 1,\n' * 99 + "}\n")
    assert house.untested_modules() == []
    module.write_text(logic)
    assert house.untested_modules() == [f"gnnrl/room/written.py ({house.MOST_UNTESTED + 1})"]
    test.touch()
    assert house.untested_modules() == []


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

    assert not calls or house.within(module, "gnnrl.cli")


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
    assert done.stderr.startswith("error: the command line needs ")


def test_errors_have_exit_codes_and_one_root() -> None:
    from gnnrl import errors

    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    found = [kind for kind in kinds if not issubclass(kind, Warning)]
    assert all(issubclass(error, errors.GnnrlError) and 1 <= error.exit_code <= 9 for error in found)
    assert all(error.__doc__ for error in found)
