"""The examples run, from their own files."""

from pathlib import Path

import pytest

from gnnrl.imports import imported

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_an_own_searcher_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    with imported(f"{EXAMPLES / 'own_searcher.py'}:main") as main:
        main(episodes=3)

    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["climb", "3"],
        ["random", "3"],
        ["curves", "1"],
    ]
