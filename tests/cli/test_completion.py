"""Completion of names in shells: from a shipped list, without PyTorch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gnnrl.cli.completion import DATA, complete_data, complete_model, each_of
from gnnrl.zoo.models import OWN_NAMES
from gnnrl.zoo.named_data import TORCHVISION_NAMES

WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "timm"):
    sys.modules[name] = None  # an import of it fails
from gnnrl.cli.app import main
main()
"""
ROOT = Path(__file__).parents[2]


def completed(*words: str, shell: str = "bash") -> list[str]:
    """Complete the last word."""
    asked = {"_GNNRL_COMPLETE": f"complete_{shell}", "PYTHONPATH": str(ROOT)}
    asked |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return done.stdout.split()


def test_a_network_is_completed_without_torch() -> None:
    found = completed("gnnrl", "prune", "--model", "torchvision:res")
    assert {"torchvision:resnet18", "torchvision:resnet50"} <= set(found)
    assert all(name.startswith("torchvision:res") for name in found)


@pytest.mark.parametrize("words", [("torchvision", ":", "resnet1"), ("torchvision", ":")])
def test_bash_breaks_words_at_colons(words: tuple[str, ...]) -> None:
    """Bash replaces what comes after the colon."""
    found = completed("gnnrl", "inspect", *words)
    assert "resnet18" in found
    assert not any(":" in name for name in found)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("compare", "--searchers", "ppo,cm"), "ppo,cma"),
        (("prune", "--searcher", "ev"), "evolution"),
        (("bench", "small", "--engines", "on"), "onnxruntime"),
        (("evaluate", "small", "--data", "di"), "digits"),
    ],
)
def test_searchers_engines_and_data_are_completed(words: tuple[str, ...], name: str) -> None:
    assert completed("gnnrl", *words) == [name]


def test_the_lists_are_those_of_the_zoo() -> None:
    assert [name for name in complete_model("") if ":" not in name and "/" not in name][: len(OWN_NAMES)] == [
        *OWN_NAMES
    ]
    assert "timm:convnext_tiny" in complete_model("timm:convnext")
    assert ("digits", *(f"torchvision:{name}" for name in TORCHVISION_NAMES)) == DATA
    assert each_of(["a", "b"])("a,") == ["a,b"]


def test_files_and_folders_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "net.py").touch()
    (tmp_path / "net.txt").touch()
    assert complete_model("ne") == ["net.py"]
    assert complete_data("ph") == ["photos/"]
