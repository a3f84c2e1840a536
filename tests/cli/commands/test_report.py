"""`gnnrl report`: the report of a saved result, written again."""

import json
from pathlib import Path

import torch
from typer.testing import CliRunner

from gnnrl.artifacts import bundle
from gnnrl.cli.app import app
from gnnrl.report.record import read_record
from tests.report.results import result
from tests.topologies import topology


def test_a_saved_result_has_report_and_card_and_they_can_be_made_again(tmp_path: Path) -> None:
    folder = result().save(tmp_path / "out", about={"model": "tiny"})

    assert read_record(folder) == result().record({"model": "tiny"})
    page = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    (folder / "README.md").write_text("edited")
    done = CliRunner().invoke(app, ["report", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"report": str(folder / "report.html"), "bytes": len(page.encode())}
    assert (folder / "report.html").read_text() == page
    small = bundle.load(topology("residual").model, folder)
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), result().model.parameters(), strict=True))
