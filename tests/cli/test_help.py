"""Help that begins with what everybody needs, and options that are misspelt."""

import re

import pytest
import typer

from gnnrl.cli.app import app
from tests.cli.running import run

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize("command", ["demo", "inspect", "prune", "compare", "evaluate", "export", "resume", "finetune"])
def test_every_option_is_explained(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    told = result.stdout.split()
    for parameter in parameters:
        named = max(parameter.opts, key=len) if parameter.param_type_name == "option" else parameter.metavar
        assert named in told, named
        assert parameter.help, named


def test_help_begins_with_what_everybody_needs_and_is_short() -> None:
    text = run("prune", "--help").stdout
    first = text.partition("Start here")[2].partition("\n\n")[0]

    assert re.findall(r"^  (--\S+)", first, re.MULTILINE) == ["--model", "--data", "--weights", "--constraint", "--out"]
    assert text.index("gnnrl prune --model") < text.index("Start here")
    assert len(text.splitlines()) <= 120


@pytest.mark.parametrize(
    ("command", "foreign", "ours"),
    [
        ("prune", "--lr", "--learning-rate"),
        ("prune", "--epoch=3", "--finetune-epochs"),
        ("compare", "--trials", "--episodes"),
    ],
)
def test_options_of_other_programs_are_understood(command: str, foreign: str, ours: str) -> None:
    told = run(command, "--model", "digits-resnet", foreign, "3")
    assert told.exit_code == 2
    assert f"did you mean {ours}?" in " ".join(told.stderr.split())


@pytest.mark.parametrize(("option", "value", "meant"), [("--executor", "rya", "ray"), ("--repair", "nnoe", "none")])
def test_a_value_that_is_misspelt_gets_the_nearest(option: str, value: str, meant: str) -> None:
    told = run("prune", option, value)
    assert told.exit_code == 2
    assert f"Did you mean {meant}?" in " ".join(told.stderr.split())
