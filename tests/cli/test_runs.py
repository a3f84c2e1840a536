"""Runs beside their results: held, found, told how to go on, and extended."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from gnnrl.cli.console import Narrator
from gnnrl.cli.runs import Found, Session, extend, find_run, run_path, running, showing_warnings
from gnnrl.errors import ArtifactError, ConfigError, GnnrlWarning
from gnnrl.runs.directory import RunDirectory

SETTINGS = {"command": "prune", "options": {"searcher": "ppo", "episodes": 5}}


class Told(Narrator):
    """Keeps what is warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def finish(out: Path, **changes: Any) -> Path:
    """Make a finished result with the records of a run."""
    settings = {name: value for name, value in (SETTINGS | changes).items() if value is not None}
    with RunDirectory(run_path(out), settings) as run:
        out.mkdir()
        (out / "manifest.json").touch()
        (out / "run").mkdir()
        for path in run.records:
            if path.exists():
                (out / "run" / path.name).write_bytes(path.read_bytes())
        (out / "run" / "journal.jsonl").touch()
        run.remove()
    return out


def fail_after_work(session: Session) -> None:
    session.directory.journal.append("search", evaluations=3)
    raise ConfigError("no")


def warn_twice() -> None:
    warnings.warn("careful", GnnrlWarning, stacklevel=1)
    warnings.warn("others", UserWarning, stacklevel=1)


def test_a_run_stands_beside_its_result() -> None:
    assert run_path(Path("some/small")) == Path("some/small.run")
    assert run_path(Path()).name == f"{Path.cwd().name}.run"


def test_an_error_says_how_to_go_on_where_there_is_something_to_go_on_with(tmp_path: Path) -> None:
    out = tmp_path / "small"
    with (
        pytest.raises(ConfigError) as caught,
        running(out, SETTINGS, Narrator(), force=False, arguments=("--model", "my net.py")) as session,
    ):
        fail_after_work(session)

    assert caught.value.__notes__[-1].endswith(f"gnnrl resume {out} --model 'my net.py'")


def test_a_run_that_is_there_is_held_by_its_own_command_or_begun_anew_by_force(tmp_path: Path) -> None:
    out = tmp_path / "small"
    with RunDirectory(run_path(out), SETTINGS) as run:
        run.identify({"weights": "ab"})
        name = run.settings["id"]

    with (
        pytest.raises(ConfigError, match=r"small\.run holds an interrupted run"),
        running(out, {}, Narrator(), force=False),
    ):
        pytest.fail("it is another run")
    with running(out, {"id": name}, Narrator(), force=False) as session:
        assert session.directory.settings["id"] == name
    with running(out, SETTINGS, Narrator(), force=True) as session:
        assert session.directory.settings["id"] != name


def test_a_run_is_found_by_its_result_and_by_itself_until_the_result_is_there(tmp_path: Path) -> None:
    out = tmp_path / "small"
    with pytest.raises(ConfigError, match="there is no run"):
        find_run(out)
    RunDirectory(run_path(out), SETTINGS).close()

    assert not find_run(out).is_finished
    assert find_run(run_path(out)).out == out
    assert find_run(finish(tmp_path / "done")).is_finished


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"options": {"searcher": "uniform", "episodes": 5}}, False),
        ({"options": {"epochs": 5}}, False),
        ({"options": None}, False),
    ],
)
def test_searches_of_the_command_line_alone_can_be_extended(
    changes: dict[str, Any], expected: bool, tmp_path: Path
) -> None:
    found = find_run(finish(tmp_path / "small", **changes))

    assert found.can_be_extended == expected
    if expected:
        more = extend(found, 3)
        assert (more.options["episodes"], more.options["force"], more.is_finished) == (8, True, False)
        assert json.loads((run_path(found.out) / "settings.json").read_text())["id"] != found.settings["id"]
    else:
        with pytest.raises((ConfigError, ArtifactError)):
            extend(found, 3)


def test_settings_of_python_have_no_options_of_the_command_line() -> None:
    with pytest.raises(ArtifactError, match="resume it in Python"):
        _ = Found(Path("small"), {"id": "ab"}, is_finished=True).options


def test_what_gnnrl_warns_of_is_narrated_and_other_warnings_are_not() -> None:
    told = Told()
    with pytest.warns(UserWarning, match="others"), showing_warnings(told):
        warn_twice()

    assert told.warnings == ["careful"]
