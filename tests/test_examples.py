"""The examples run, from their own files."""

from pathlib import Path

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
