"""`torchrun -m gnnrl finetune`: one result, one voice, and on from an interruption."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gnnrl.artifacts import bundle
from gnnrl.cli import console
from gnnrl.cli import torchrun as company
from gnnrl.cli.app import app
from gnnrl.errors import ConfigError
from gnnrl.zoo.digits import DIGITS_WEIGHTS
from tests.training.processes import torchrun

NETWORK = ("--model", "digits-resnet", "--data", "digits", "--threads", "1")
PRUNE = ("prune", *NETWORK, "--weights", str(DIGITS_WEIGHTS), "--searcher", "uniform", "--finetune-epochs", "0")
TUNE = ("finetune", "small", *NETWORK, "--epochs", "2", "--batch-size", "200", "--augment", "none")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pruned network that was fine-tuned by two processes."""
    found = tmp_path_factory.mktemp("torchrun")
    pruned = run(*PRUNE, "--out", str(found / "small"))
    assert pruned.exit_code == 0, pruned.output
    return found


def test_two_processes_save_one_result_and_speak_with_one_voice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = torchrun("-m", "gnnrl", *TUNE, "--out", "together", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads(done.stdout)
    alone = run(*TUNE, "--out", "alone", "--json")
    assert facts["epochs"] == 2
    assert facts["score"]["before"] == pytest.approx(json.loads(alone.stdout)["score"]["before"])
    assert facts["score"]["finetuned"] == pytest.approx(json.loads(alone.stdout)["score"]["finetuned"], abs=0.05)
    assert bundle.read_manifest("together")["score"]["finetuned"] == facts["score"]["finetuned"]
    assert sorted(path.name for path in folder.iterdir()) == ["alone", "small", "together"]


def test_a_restarted_command_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--max-restarts` torchrun gives the same command again: its run is taken up."""
    monkeypatch.chdir(folder)
    advance = console.Narrator.advance

    def stop(self: console.Narrator, done: int, total: int, note: str = "") -> None:
        advance(self, done, total, note)
        if note.startswith("loss") and done == 7:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console.Narrator, "advance", stop)
        assert run(*TUNE, "--out", "again", "--json").exit_code == 143
    assert "holds an interrupted run" in run(*TUNE, "--out", "again").stderr
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    other = run(*TUNE, "--out", "again", "--seed", "1")
    assert "holds an interrupted run" in other.stderr
    resumed = run(*TUNE, "--out", "again", "--json")
    assert resumed.exit_code == 0, resumed.output
    assert not Path("again.run").exists()


@pytest.mark.parametrize("command", [["inspect", "--model", "digits-resnet"], [*PRUNE, "--out", "x"]])
def test_commands_of_one_process_say_so(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = run(*command)
    assert found.exit_code == 2
    assert f"gnnrl {command[0]} runs in one process, not in 2 of torchrun" in found.stderr


def test_every_process_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    company.take_place("cuda:1")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    company.take_place("cpu")
    with pytest.raises(ConfigError, match="use --device cuda, not cuda:1"):
        company.take_place("cuda:1")


ENDING = """
import os, sys
from gnnrl.cli.torchrun import parting
class Fatal:
    def __del__(self, abort=os.abort):
        abort()
fatal = Fatal()
with parting():
    print("done", end="")
    {ending}
"""


@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [("pass", 0, ""), ("sys.exit(5)", 5, ""), ("raise OSError('full')", 1, "OSError: full")],
)
def test_a_process_of_several_ends_without_taking_python_down(ending: str, code: int, told: str) -> None:
    """Gloo's threads abort a process while it is taken down, one time in many: here, an object does it each time."""
    script = [sys.executable, "-c", ENDING.format(ending=ending)]
    several = os.environ | {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2"}
    found = subprocess.run(script, capture_output=True, text=True, env=several, check=False, timeout=60)
    assert (found.returncode, found.stdout) == (code, "done")
    assert told in found.stderr
    alone = subprocess.run(script, capture_output=True, text=True, check=False, timeout=60)
    assert alone.returncode == -signal.SIGABRT
