"""Options from a file: what is read, what is refused, and what the command line overrides."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gnnrl.cli import config_file as settings
from gnnrl.cli.app import app

REQUIRED = 'model = "digits-resnet"\ndata = "digits"\n'


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def printed(text: str, *arguments: str, name: str = "settings.toml") -> Result:
    Path(name).write_text(text)
    return CliRunner().invoke(app, ["prune", "--config", name, "--print-config", *arguments])


def test_a_file_gives_options_and_the_command_line_goes_before_it() -> None:
    result = printed(
        f'{REQUIRED}constraint = "params<=40%"\nseed = 3\nfinetune_epochs = 5\nkeep = ["layer3", "conv1"]\n',
        *("--seed", "7"),
    )

    assert result.exit_code == 0, result.output
    found = tomllib.loads(result.stdout)
    assert {key: found[key] for key in ("constraint", "seed", "finetune-epochs", "keep")} == {
        "constraint": "params<=40%",
        "seed": 7,
        "finetune-epochs": 5,
        "keep": ["layer3", "conv1"],
    }
    assert found["episodes"] == 150


def test_what_is_printed_can_be_read_again() -> None:
    text = 'round-to = 8\npretrained = true\nlearning-rate = 1e-2\nbounds = ["layer*=0.3:0.8"]\nout = "a \\"b\\" é"\n'
    first = printed(REQUIRED + text)

    assert printed(first.stdout).stdout == first.stdout
    assert tomllib.loads(first.stdout)["out"] == 'a "b" é'


@pytest.mark.parametrize(
    ("yaml", "toml"),
    [
        ("# mine\n\nconstraint: latency<=60%\nseed: 1\n", 'constraint = "latency<=60%"'),
        ("'data': \"a/b.tar\"\n", 'data = "a/b.tar"'),
        ("seed: 3\n", "seed = 3"),
        ("pretrained: true\n", "pretrained = true"),
        ("- seed\n", 'constraint = "macs<=50%"'),
    ],
)
def test_yaml_is_answered_with_the_line_in_toml(yaml: str, toml: str) -> None:
    result = printed(yaml, name="settings.yaml")

    assert result.exit_code == 2
    assert " ".join(result.stderr.split()).endswith(
        f"settings.yaml: settings are read from TOML; write them to a .toml file: {toml}"
    )
    assert printed(toml, "--model", "digits-resnet", "--data", "digits").exit_code == 0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "[model]\nname = 1\n", "a.toml: model must be text, a number, true or false"),
        ("a.toml", "seed = [1, 2]\n", "a.toml: seed takes one value, not a list"),
        ("a.toml", "seed = \n", "a.toml cannot be read"),
        ("a.toml", "seed = 1\nseed = 2\n", "a.toml cannot be read: Cannot overwrite a value (at line 2"),
        ("a.json", "{}", "a.json: settings are read from TOML"),
        ("a.toml", "config = 'b.toml'\n", "'config' is not a setting"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_name_and_the_key(name: str, text: str, said: str) -> None:
    result = printed(text, "--model", "digits-resnet", "--data", "digits", name=name)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not result.stdout


def test_a_value_that_no_option_takes_names_the_option() -> None:
    result = printed(f"{REQUIRED}episodes = 0\n")

    assert result.exit_code == 2
    assert "episodes" in result.stderr


def test_files_of_settings_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "LARGEST_BYTES", 8)

    assert printed(REQUIRED).exit_code == 2
    assert CliRunner().invoke(app, ["prune", "--config", "nowhere.toml"]).exit_code == 2


def test_a_command_that_is_not_there_is_refused_with_a_suggestion() -> None:
    result = CliRunner().invoke(app, ["prnue"])

    assert result.exit_code == 2
    assert "did you mean prune?" in " ".join(result.stderr.split())
