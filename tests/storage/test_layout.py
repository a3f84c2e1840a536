"""What `--out` and `--force` may replace: saved results as gnnrl wrote them, and nothing of anybody else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gnnrl.errors import ConfigError
from gnnrl.storage.layout import CONTENTS, JOURNAL, SETTINGS, check_place, check_sweep, check_target

ROOT = Path(__file__).parents[2]


def result(path: Path) -> Path:
    """All that gnnrl writes into a saved result."""
    for name in sorted(CONTENTS):
        if not any(other.startswith(f"{name}/") for other in CONTENTS):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).touch()
    return path


def test_a_saved_result_is_replaced_by_force_only(tmp_path: Path) -> None:
    out = result(tmp_path / "out")
    check_target(out, force=True)
    with pytest.raises(ConfigError, match="out is not empty; choose another directory, or replace it with --force"):
        check_target(out)


@pytest.mark.parametrize("entry", ["notes.txt", "exp/", "small.onnx", "run/notes.txt", "run/exp/", ".hidden"])
def test_a_result_that_holds_something_else_is_not_replaced(tmp_path: Path, entry: str) -> None:
    out = result(tmp_path / "out")
    (out / entry).mkdir() if entry.endswith("/") else (out / entry).touch()
    with pytest.raises(ConfigError) as refused:
        check_target(out, force=True)
    name = entry.rstrip("/")
    assert f"out holds {name}, which does not belong to a saved result" in str(refused.value)
    assert f"move {name} elsewhere, or choose another directory" in str(refused.value)


def test_a_manifest_alone_is_no_saved_result(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").touch()
    check_target(tmp_path / "out")
    with pytest.raises(ConfigError, match="not a saved result"):
        check_target(tmp_path, force=True)


def test_nothing_is_put_into_the_records_of_a_run(tmp_path: Path) -> None:
    run = tmp_path / "out.run"
    run.mkdir()
    for name in (SETTINGS, JOURNAL):
        (run / name).touch()
    with pytest.raises(ConfigError, match=r"lies within .*out.run, which is a run; choose a directory outside"):
        check_target(run / "small", force=True)


@pytest.mark.parametrize("inside", ["exp", "run", "sub/exp"])
def test_nothing_is_put_into_a_saved_result(tmp_path: Path, inside: str) -> None:
    out = result(tmp_path / "out")
    for check in (check_place, check_target, lambda path: check_target(path, force=True)):
        with pytest.raises(ConfigError, match=r"lies within .*out, which is a saved result"):
            check(out / inside / "new")
    with pytest.raises(ConfigError, match="lies within"):
        check_sweep(out / inside / "new", [])
    check_target(out / ".." / "beside")


def test_a_link_into_a_saved_result_is_seen_through(tmp_path: Path) -> None:
    out = result(tmp_path / "out")
    (tmp_path / "link").symlink_to(out / "run")
    with pytest.raises(ConfigError, match="lies within"):
        check_target(tmp_path / "link" / "new")


COMMANDS = {
    "prune": ("prune", "--data", "digits", "--pretrained"),
    "a sweep": ("prune", "--data", "digits", "--pretrained", "--sweep", "30%,50%"),
    "a rehearsal": ("prune", "--data", "digits", "--pretrained", "--dry-run"),
    "finetune": ("finetune", "out", "--data", "digits"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_commands_refuse_a_place_in_a_saved_result_before_they_load_pytorch(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    result(tmp_path / "out")
    code = """
import sys
sys.modules["torch"] = None
from gnnrl.cli.app import app
app(sys.argv[1:])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--model", "digits-resnet", "--out", "out/new"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "out/new lies within" in done.stderr


def test_a_second_sweep_does_not_write_over_the_record_of_the_first(tmp_path: Path) -> None:
    result(tmp_path / "macs-30")
    check_sweep(tmp_path, [tmp_path / "macs-40"])
    (tmp_path / "sweep.json").touch()
    with pytest.raises(
        ConfigError, match="holds a sweep; choose another directory, or write its record again with --f"
    ):
        check_sweep(tmp_path, [tmp_path / "macs-40"])
    check_sweep(tmp_path, [tmp_path / "macs-40"], force=True)
