"""The examples run, from their own files."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gnnrl.imports import imported

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, capsys: pytest.CaptureFixture[str], episodes: int = 3) -> list[list[str]]:
    """The words of the first two columns of what an example prints."""
    with imported(f"{EXAMPLES / name}:main") as main:
        main(episodes=episodes)
    return [line.split()[:2] for line in capsys.readouterr().out.splitlines()]


def test_an_own_searcher_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("own_searcher.py", capsys) == [["climb", "3"], ["random", "3"], ["curves", "1"]]


def test_own_policies_with_and_without_a_graph_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("own_policy.py", capsys, 12) == [["transformer", "12"], ["groupwise", "12"], ["ppo", "12"]]


def test_an_own_reward_is_searched_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("own_reward.py", capsys) == [["worst", "class"]]


SMALLER = {r"EPISODES = \d+": "EPISODES = 3", r"EPISODES, EPOCHS = \d+, \d+": "EPISODES, EPOCHS = 3, 3"}
SMALLER |= {r"EPISODES, SEEDS = .*": "EPISODES, SEEDS = 3, [0]"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells, one after another, at a small size; what a cell ends with shows itself."""
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    if any("timm" in line for cell in cells for line in cell["source"]):
        pytest.importorskip("timm")
    space: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for cell in cells:
        assert not cell["outputs"], "notebooks are kept without outputs"
        text = "".join(cell["source"])
        for long, short in SMALLER.items():
            text = re.sub(long, short, text)
        body = ast.parse(text).body
        last = ast.Expression(body.pop().value) if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), path.name, "exec"), space)
        if last is not None:
            value = eval(compile(last, path.name, "eval"), space)
            shown += [value._repr_html_()] if hasattr(value, "_repr_html_") else []

    assert shown
    assert all("<svg" in view for view in shown)


def test_there_are_three_notebooks() -> None:
    assert len(list(EXAMPLES.glob("*.ipynb"))) == 3
