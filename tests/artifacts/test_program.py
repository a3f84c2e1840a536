"""Programs of torch.export, and the choice of a format by the suffix of the file."""

from pathlib import Path

import pytest
import torch
from torch import nn

import gnnrl
from gnnrl.artifacts import program
from gnnrl.artifacts.formats import export
from gnnrl.errors import ConfigError, ExportError
from tests.artifacts.networks import FixedBatch, halved
from tests.topologies import images, topology, traced


class Branching(nn.Module):
    """Its way depends on the values of tensors."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if float(x.sum()) > 0 else -x


@pytest.mark.parametrize("name", ["residual", "keyword_inputs"])
def test_a_program_takes_batches_of_any_size(name: str, tmp_path: Path) -> None:
    small, given = halved(name), traced(name).example_inputs
    record = gnnrl.export_program(small, given, tmp_path / "small.pt2")
    loaded = torch.export.load(tmp_path / "small.pt2").module()

    assert record.dynamic_batch, record.static_reason
    if isinstance(given, torch.Tensor):
        five = images(batch=5)
        torch.testing.assert_close(loaded(five), small(five))
    else:
        torch.testing.assert_close(loaded(**given), small(**given))


def test_a_batch_may_be_fixed_by_the_code_or_by_choice(tmp_path: Path) -> None:
    by_code = gnnrl.export_program(FixedBatch(), torch.randn(2, 4), tmp_path / "code.pt2")
    by_choice = gnnrl.export_program(nn.Linear(4, 2), torch.randn(3, 4), tmp_path / "choice.pt2", dynamic_batch=False)

    assert "fixes its batch" in by_code.static_reason
    assert by_choice.static_reason == "a fixed batch was requested"
    assert by_choice.batch_sizes == (3,)


def test_the_mode_of_the_network_is_kept(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train()
    model[0].eval()
    gnnrl.export_program(model, torch.randn(3, 4), tmp_path / "a.pt2")

    assert [module.training for module in model.modules()] == [True, False, True]


def test_the_line_that_stands_in_the_way_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"Branching cannot be exported because of .*test_program\.py:\d+"):
        gnnrl.export_program(Branching(), torch.randn(2, 3), tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


def test_a_program_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "differences", lambda *_: (1.0, 0.1))

    with pytest.raises(ExportError, match="differs from Linear"):
        gnnrl.export_program(nn.Linear(4, 2), torch.randn(3, 4), tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object, path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(torch.export, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        gnnrl.export_program(nn.Linear(4, 2), torch.randn(3, 4), tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


def test_the_suffix_names_the_format_and_what_it_needs_is_asked_for(tmp_path: Path) -> None:
    small, case = halved("chain"), traced("chain")

    assert export(small, tmp_path / "a.pt2", example_inputs=case.example_inputs).dynamic_batch
    assert export(small, tmp_path / "a.py", dense=topology("chain").model).path.suffix == ".py"
    for path, settings, message in (
        ("a.tflite", {}, "onnx .*pt2 .*patch"),
        ("a.onnx", {}, "example_inputs"),
        ("b.py", {}, "dense"),
        ("b.pt2", {"opset": 18}, "no opset"),
    ):
        with pytest.raises(ConfigError, match=message):
            export(small, tmp_path / path, **settings)
