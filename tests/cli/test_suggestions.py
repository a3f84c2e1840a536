"""What is misspelt, missing or half written is answered with what to type."""

import re
from pathlib import Path

import pytest

from tests.cli.running import refused

pytestmark = pytest.mark.usefixtures("folder")
FILE = "raise SystemExit('imported')\n\nclass Net: ...\n\ndef small(): ...\n\ndef _hidden(): ...\n"


def said(*arguments: str) -> str:
    return " ".join(refused(2, *arguments).split())


def test_a_misspelt_library_is_asked_for() -> None:
    assert "did you mean torchvision:resnet18?" in said("inspect", "torchvison:resnet18")


def test_a_file_without_a_factory_is_listed_and_not_imported() -> None:
    Path("net.py").write_text(FILE)
    told = said("inspect", "net.py")
    assert "net.py:Net or net.py:small, as in --model net.py:Net" in told
    assert "imported" not in told
    assert "there is no file gone.py" in said("inspect", "gone.py")


@pytest.mark.parametrize(
    ("limit", "meant"),
    [
        ("macs<=1,5M", "macs<=1.5M"),
        ("1,5M", "1.5M"),
        ("params<=1,500,000", "params<=1500000"),
        ("macs<=9,5%", "macs<=9.5%"),
    ],
)
def test_a_comma_in_a_number_is_written_right(limit: str, meant: str) -> None:
    assert f"write {meant}" in said("prune", "--model", "digits-resnet", "--data", "digits", "--constraint", limit)


def test_prune_names_all_that_is_missing_at_once() -> None:
    assert "gnnrl prune --seed 3 --model MODEL --data PATH" in said("prune", "--seed", "3")
    assert "missing --data PATH;" in said("prune", "--model", "digits-resnet")
    Path("prune.toml").write_text('data = "digits"')
    assert "missing --model MODEL;" in said("prune", "--config", "prune.toml")


@pytest.mark.parametrize(
    ("given", "start"),
    [
        (("--episodes", "0"), "--episodes: input should be"),
        (("--searcher", "pro"), "--searcher: there is no searcher 'pro'; did you mean ppo?"),
        (("--epsodes", "3"), "there is no option --epsodes; did you mean --episodes?"),
        (("--model",), "option '--model' requires an argument"),
    ],
)
def test_a_wrong_command_line_is_told_as_gnnrl_tells_its_errors(given: tuple[str, ...], start: str) -> None:
    assert said("prune", *given).startswith(start)


def test_inspect_reads_its_limit_before_it_loads_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> None:
        raise AssertionError("the network was loaded")

    monkeypatch.setattr("gnnrl.cli.loading.load_network", load)
    assert re.match(r"'macs<=half' is not a limit", said("inspect", "digits-resnet", "--constraint", "macs<=half"))
