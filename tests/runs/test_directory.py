"""The run directory: one process at a time, and only for what it was started on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gnnrl.errors import ArtifactError, ConfigError, RunInUse
from gnnrl.runs.directory import RunDirectory, read_settings

IDENTITY = {"constraint": "macs<=50%", "weights": "ab12", "dense": 0.9123, "errors": [1.0, 2.0]}


def test_settings_are_written_once_and_kept(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run", {"command": "prune", "options": {"episodes": 5}}) as run:
        run.identify(IDENTITY)
        name = run.settings["id"]
    with RunDirectory(tmp_path / "run", {"command": "other"}) as run:
        run.identify(IDENTITY)
        assert (run.settings["command"], run.settings["id"]) == ("prune", name)
        assert run.settings["identity"] == IDENTITY
        assert not run.differing_versions()
    assert set(read_settings(tmp_path / "run")["versions"]) >= {"python", "torch", "threads"}


def test_everything_that_differs_is_listed(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as run:
        run.identify(IDENTITY)
        run.identify({**IDENTITY, "dense": 0.9124})
        with pytest.raises(
            ConfigError, match=r"weights was \"ab12\", is \"cd34\"; dense was 0.9123, is 0.8; seed"
        ) as caught:
            run.identify({**IDENTITY, "weights": "cd34", "dense": 0.8, "seed": 1})
    assert "constraint" not in str(caught.value)
    assert "errors" not in str(caught.value)


def test_a_second_process_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run"), pytest.raises(RunInUse, match=f"in use by process {os.getpid()} on") as caught:
        RunDirectory(tmp_path / "run")
    assert caught.value.exit_code == 9
    RunDirectory(tmp_path / "run").close()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from gnnrl.runs.directory import RunDirectory
run = RunDirectory(Path(r"{tmp_path / "run"}"))
print("held", flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RunInUse, match=f"process {process.pid}"):
            RunDirectory(tmp_path / "run")
        process.send_signal(signal.SIGKILL)
        process.wait()
    RunDirectory(tmp_path / "run").close()


def test_other_directories_and_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("")
    with pytest.raises(ConfigError, match="neither empty nor a run directory"):
        RunDirectory(tmp_path / "photos")
    with pytest.raises(ConfigError, match="is a file"):
        RunDirectory(tmp_path / "photos" / "cat.jpg")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"format": 2}', '{"format": 1}', '{"format": 1, "id": 3, "versions": {}}', "[" * 10**5]
)
def test_settings_that_are_damaged_are_refused(content: str, tmp_path: Path) -> None:
    RunDirectory(tmp_path / "run").close()
    (tmp_path / "run" / "settings.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"settings\.json"):
        RunDirectory(tmp_path / "run")
    (tmp_path / "run" / "settings.json").unlink()
    RunDirectory(tmp_path / "run").close()


def test_other_versions_are_named(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run"):
        pass
    path = tmp_path / "run" / "settings.json"
    settings = json.loads(path.read_text())
    settings["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(settings))
    with RunDirectory(tmp_path / "run") as run:
        assert [text.partition(" ->")[0] for text in run.differing_versions()] == ["torch 1.0"]
