"""A folder with wide lines, and a search that is finished."""

from pathlib import Path

import pytest

from tests.cli.commands.searched import SMALL
from tests.cli.running import run


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    found = run(*SMALL[:-1], str(folder / "small"))
    assert found.exit_code == 0, found.output
    return folder / "small"
