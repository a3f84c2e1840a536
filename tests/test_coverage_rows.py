"""A row of the table by libraries, on a network without a library."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


class Plain(nn.Module):
    """Two linear layers; `width` is what the code adds to the hidden channels, so that they cannot shrink."""

    def __init__(self, *, stated: bool = False) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 16), nn.Linear(16, 3)
        self.stated = stated

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x).relu()
        return self.b(x + torch.arange(16) if self.stated else x)


def row_of(model: nn.Module) -> Any:
    rows, inputs = importlib.import_module("coverage_rows"), importlib.import_module("coverage_inputs")
    subject = rows.Subject(model.eval(), inputs.noise(5, 6, longer=(7, 6)), note="plain")
    return rows.check("plain", lambda: subject)


def test_a_network_that_holds_has_a_figure_in_every_column() -> None:
    row = row_of(Plain())

    assert row.problems == ()
    assert (row.sizes, row.batch, row.longer, row.backward, row.saved, row.generate) == (*5 * ("yes",), "-")
    assert row.half == pytest.approx(0.5)
    assert row.floor == pytest.approx(1 / 16)
    assert row.masked < 1e-5
    assert 0 < row.repair <= 1


def test_a_network_that_cannot_shrink_says_how_it_fails_and_what_holds_it() -> None:
    row = row_of(Plain(stated=True))

    assert row.floor == 1
    assert row.problems[0].startswith("50 %: NothingToPrune: Plain has nothing to prune")
    assert "tensor of fixed size" in row.cause


def test_a_page_counts_what_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = importlib.import_module("coverage_table")
    monkeypatch.setattr(table, "RESULT", tmp_path / "known.json")
    monkeypatch.setattr(table, "PAGE", tmp_path / "page.md")
    facts = {"versions": {"a": "1"}, "torch": "2", "python": "3", "processor": "cpu"}
    sound = {"name": "x", "half": 0.5, "floor": 0.1, "problems": [], "seconds": 2.0, "note": "X(1)"}
    table.keep("transformers", {**facts, "rows": {"x": sound, "y": {"name": "y", "problems": ["trace: a | b"]}}})
    table.write()

    page = (tmp_path / "page.md").read_text()
    assert "| all | 2 | 1 | 1 | 55.0% | 100.0% | 2 |" in page
    assert "trace: a \\| b" in page
    assert "- x: X(1)" in page
