"""How commands end: messages, exit codes, one object with --json."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gnnrl.cli.app import app
from gnnrl.errors import GnnrlError
from tests.cli.running import FACTORY, OWN, in_a_process, run

pytestmark = pytest.mark.usefixtures("folder")


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = """
import sys
from gnnrl.cli.app import app
try:
    app(["--help"])
finally:
    print(sorted({"torch", "numpy", "torch_geometric", "scipy"} & set(sys.modules)))
"""
    start = time.process_time()
    done = in_a_process("-c", code)
    assert done.stdout.endswith("[]\n"), done.stderr
    assert all(
        command in done.stdout for command in ("demo", "inspect", "prune", "resume", "finetune", "evaluate", "export")
    )
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "command",
    [
        ["inspect", "digits-resnet", "--weights", "nowhere.pt"],
        ["evaluate", "nowhere"],
        ["export", "nowhere", "--out", "small.onnx"],
        ["bench", "nowhere"],
        ["finetune", "nowhere"],
        ["prune", "--model", "digits-resnet", "--data", "nowhere"],
    ],
)
def test_a_path_that_does_not_exist_is_refused_before_pytorch_is_loaded(command: list[str]) -> None:
    code = f"""
import sys
from gnnrl.cli.app import app
try:
    app({command!r})
finally:
    print("torch" in sys.modules)
"""
    done = in_a_process("-c", code)
    assert done.stdout == "False\n", done.stderr
    assert "nowhere" in done.stderr
    assert "does not exist" in done.stderr


def test_python_m_gnnrl_is_gnnrl_and_tells_its_version() -> None:
    done = in_a_process("-m", "gnnrl", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("gnnrl 0.")


def test_errors_are_objects_with_json() -> None:
    result = run("inspect", "digit-resnet", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "ConfigError"


def test_a_fault_of_gnnrl_ends_with_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("gnnrl.cli.loading.resolve_model", fail)
    with pytest.raises(RuntimeError, match="a fault"):
        CliRunner().invoke(app, ["inspect", "digits-resnet"], catch_exceptions=False)


def test_a_line_with_an_option_of_another_program_is_still_completed() -> None:
    words = {"_GNNRL_COMPLETE": "complete_bash", "COMP_WORDS": "gnnrl prune --lr 3 --impo", "COMP_CWORD": "4"}
    told = subprocess.run(
        [sys.executable, "-c", "from gnnrl.cli.app import main; main()"],
        env={**os.environ, **words},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.split() == ["--importance"]
    assert not told.stderr


def test_exit_codes_are_documented() -> None:
    codes = {error.exit_code for error in GnnrlError.__subclasses__()}
    assert codes <= {1, 2, 3, 4, 5, 6, 7, 8, 9}


def test_users_prints_go_to_stderr_and_escape_codes_nowhere() -> None:
    shouting = FACTORY.replace("        super()", "        print('hello from the factory')\n        super()")
    Path("own.py").write_text(
        f"{shouting}\n\ndef failing():\n    raise ValueError('\\x1b[31mred\\x1b]0;title\\x07 end')\n"
    )
    result = run("inspect", *OWN, "--json")
    assert json.loads(result.stdout)["model"] == "own.py:Obstructed"
    assert "hello from the factory" in result.stderr
    done = in_a_process("-m", "gnnrl", "inspect", "own.py:failing", *OWN[1:], "--json")
    assert done.returncode != 0
    assert "red end" in done.stderr
    assert "red end" in json.loads(done.stdout)["error"]["message"]
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\u001b" not in done.stdout


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [(KeyboardInterrupt(), 130, "KeyboardInterrupt"), (RuntimeError("a fault"), 1, "RuntimeError")],
)
def test_json_is_one_object_however_a_command_ends(
    error: BaseException, code: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("gnnrl.cli.loading.resolve_model", fail)
    result = run("inspect", "digits-resnet", "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["error"]["type"] == name
    usage = run("inspect", "digits-resnet", "--jsom", "--json")
    assert usage.exit_code == 2
    assert "--jsom" in json.loads(usage.stdout)["error"]["message"]
