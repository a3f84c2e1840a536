"""A message about a missing package names a command that installs it, wherever gnnrl came from."""

import os
import shlex
import shutil
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gnnrl.imports import install_command, require

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
needs_installation = pytest.mark.skipif(
    not [*metadata.distributions(name="gnnrl-compress")], reason="gnnrl is imported, not installed"
)


@needs_installation
@pytest.mark.parametrize("extra", EXTRAS)
def test_the_command_names_the_packages_of_the_extra(extra: str) -> None:
    words = shlex.split(install_command(extra))

    installed = {*map(Requirement, words[words.index("install") + 1 :])}
    assert installed == {*map(Requirement, EXTRAS[extra])}


def test_a_source_tree_that_is_not_installed_is_named_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)

    folder, _, extra = shlex.split(install_command("onnx"))[-1].partition("[")
    assert (Path(folder) / "pyproject.toml").is_file()
    assert extra == "onnx]"


def test_pip_is_the_one_of_the_running_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: os.path.join(os.path.dirname(sys.executable), name))
    assert install_command("search").startswith("pip install ")

    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    assert shlex.split(install_command("search"))[:4] == [sys.executable, "-m", "pip", "install"]

    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert shlex.split(install_command("search"))[:4] == [sys.executable, "-m", "pip", "install"]


def test_what_a_package_says_while_it_is_imported_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "chatty_package.py").write_text("import warnings\nwarnings.warn('no plots today')\nVALUE = 3\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert require("chatty_package", "search").VALUE == 3
    assert not recwarn
