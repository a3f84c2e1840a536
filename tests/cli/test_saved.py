"""Commands on a saved result take network, input and data from it, and never code."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gnnrl.cli.app import app
from gnnrl.cli.inputs import Source
from gnnrl.cli.loading import Fed
from gnnrl.cli.saved import Given, complete, source_facts
from gnnrl.errors import ConfigError, DataError
from gnnrl.zoo.models import InputSpec, resolve_model

KNOWN = {"model": "digits-resnet", "input_shape": "1,1,8,8", "mean": "0.305", "std": "0.375", "data": "digits"}


def say(folder: Path, **known: Any) -> Path:
    """Let a result say what it is of."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"source": known}))
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})


def test_a_result_knows_its_network_input_and_data(saved: Path) -> None:
    assert complete(say(saved, **KNOWN), Given(), with_data=True) == (
        Source(**{name: value for name, value in KNOWN.items() if name != "data"}),  # type: ignore[arg-type]
        "digits",
    )
    done = run("evaluate", str(saved), "--json")
    assert json.loads(done.stdout)["test_images"] == 500
    assert run("export", str(saved), "--out", str(saved.parent / "small.py")).exit_code == 0


def test_what_is_given_goes_first(saved: Path) -> None:
    given = Given(model="cifar-resnet20", mean="0.5", data="torchvision:CIFAR10")
    source, data = complete(say(saved, **KNOWN), given, with_data=True)
    assert (source.model, source.mean, source.std, data) == ("cifar-resnet20", "0.5", "0.375", "torchvision:CIFAR10")


def test_what_is_saved_is_what_a_result_says(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(saved.parent)
    (saved.parent / "photos").mkdir()
    fed = Fed(resolve_model("digits-resnet"), InputSpec((1, 1, 8, 8), (0.305,), (0.375,)))
    found = source_facts(Source(model="digits-resnet"), fed, "photos")
    assert found == KNOWN | {"data": str(saved.parent / "photos")}


def test_code_is_asked_for_with_the_whole_command_and_not_imported(saved: Path) -> None:
    code = saved.parent / "net.py"
    code.write_text("raise SystemExit(77)")
    say(saved, **KNOWN | {"model": f"{code}:Net", "data": f"{code}:photos"})
    done = run("evaluate", str(saved))
    assert done.exit_code == 2
    assert "no file may name code" in done.stderr
    assert f"gnnrl evaluate {saved} --model {code}:Net --data {code}:photos" in done.stderr


@pytest.mark.parametrize("known", [{}, {"model": "digits-resnet"}])
def test_all_that_is_missing_is_asked_for_at_once(saved: Path, known: dict[str, str]) -> None:
    say(saved, **known)
    done = run("evaluate", str(saved))
    assert done.exit_code == 2
    assert f"gnnrl evaluate {saved}{'' if known else ' --model MODEL'} --data PATH" in done.stderr


def test_a_network_of_ones_own_needs_a_shape_if_the_result_has_none(saved: Path) -> None:
    with pytest.raises(ConfigError, match=r"--input-shape 1,3,224,224"):
        complete(saved, Given(model="net.py:Net"), with_data=False)


def test_images_that_are_gone_are_one_sentence_with_the_option(saved: Path) -> None:
    say(saved, **KNOWN | {"data": "/nowhere/photos"})
    with pytest.raises(DataError, match=r"/nowhere/photos.* does not exist any more\. .*--data PATH"):
        complete(saved, Given(), with_data=True)
