"""ONNX files: run by onnxruntime they compute what PyTorch computes, for batches of any size."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import gnnrl
from gnnrl.artifacts import onnx
from gnnrl.artifacts.inputs import Call, differences, outputs
from gnnrl.errors import ConfigError, ExportError
from tests.artifacts.networks import FixedBatch, Triangular, digits, halved
from tests.topologies import traced

pytest.importorskip("onnxruntime")


def run(path: Path, inputs: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Outputs of a file by name."""
    session = onnx.onnx_session(path)
    names = [known.name for known in session.get_inputs()]
    values = [leaf.numpy() for leaf in tree_leaves(inputs) if isinstance(leaf, torch.Tensor)]
    found = session.run(None, dict(zip(names, values, strict=True)))
    return dict(zip([known.name for known in session.get_outputs()], found, strict=True))


def exported(model: nn.Module, inputs: Any, path: Path) -> gnnrl.GnnrlError | Any:
    """Export and check the record against the file."""
    record = gnnrl.export_onnx(model, inputs, path)
    assert record.path == path
    assert [*path.parent.iterdir()] == [path]
    assert record.size == path.stat().st_size
    return record


def test_the_digits_network_takes_batches_of_any_size(tmp_path: Path) -> None:
    dense, small, inputs = digits()
    record = exported(small, inputs, tmp_path / "small.onnx")

    assert record.dynamic_batch
    assert record.batch_sizes == (1, 3)
    assert record.relative <= 1e-5
    for size in (1, 5):
        images = torch.randn(size, 1, 8, 8)
        with torch.no_grad():
            expected = small(images)
        torch.testing.assert_close(torch.from_numpy(run(tmp_path / "small.onnx", images)["output"]), expected)
    assert record.size < sum(parameter.numel() * 4 for parameter in dense.parameters())


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("attention", {"output"}),
        ("multihead_attention", {"output"}),
        ("nested_outputs", None),
        ("keyword_inputs", {"output"}),
    ],
)
def test_attention_containers_and_keywords_come_through(name: str, names: set[str] | None, tmp_path: Path) -> None:
    small = halved(name)
    call = Call.of(traced(name).example_inputs)
    record = exported(small, traced(name).example_inputs, tmp_path / "small.onnx")

    assert record.dynamic_batch, record.static_reason
    other = call.of_size(4)
    found = run(tmp_path / "small.onnx", (other.args, other.kwargs))
    with torch.no_grad():
        expected = outputs(small, other)
    assert len(found) == len(expected)
    assert names is None or set(found) == names
    for a, b in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(a), b)


def test_a_batch_that_the_code_fixes_is_fixed_and_said(tmp_path: Path) -> None:
    record = exported(FixedBatch(), torch.randn(2, 4), tmp_path / "fixed.onnx")

    assert not record.dynamic_batch
    assert "fixes its batch" in record.static_reason
    assert record.batch_sizes == (2,)


def test_an_operation_without_onnx_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no operator for aten\.linalg_qr.*networks\.py:\d+"):
        gnnrl.export_onnx(Triangular(), torch.randn(3, 5, 4), tmp_path / "small.onnx", dynamic_batch=False)
    assert not list(tmp_path.iterdir())


def test_a_file_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = onnx.run_onnx
    monkeypatch.setattr(onnx, "run_onnx", lambda *given: [output + 0.1 for output in real(*given)])

    with pytest.raises(ExportError, match="differs from PyTorch"):
        gnnrl.export_onnx(halved("chain"), traced("chain").example_inputs, tmp_path / "a.onnx", dynamic_batch=False)
    assert not list(tmp_path.iterdir())


def test_weights_that_are_too_large_for_one_file_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "ONE_FILE", 0)
    small, inputs = halved("layer_norm_mlp"), traced("layer_norm_mlp").example_inputs
    record = gnnrl.export_onnx(small, inputs, tmp_path / "small.onnx", opset=18, dynamic_batch=False)

    assert record.opset == 18
    assert [path.name for path in record.files] == ["small.onnx", "small.onnx.data"]
    assert record.size == sum(path.stat().st_size for path in tmp_path.iterdir())
    with torch.no_grad():
        expected = small(inputs)
    torch.testing.assert_close(torch.from_numpy(run(tmp_path / "small.onnx", inputs)["output"]), expected)


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_extra_is_named(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "find_spec", lambda name: None if name == missing else object())

    with pytest.raises(ConfigError, match=rf"needs {missing}; run: .*pip install 'onnx.*' 'onnxscript.*'"):
        gnnrl.export_onnx(halved("chain"), traced("chain").example_inputs, tmp_path / "a.onnx")


def test_what_is_wrong_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "batched_program", lambda *_, **__: pytest.fail("exported"))
    small, inputs = halved("chain"), traced("chain").example_inputs
    (tmp_path / "mine.onnx").write_text("mine")

    with pytest.raises(ConfigError, match="already exists"):
        gnnrl.export_onnx(small, inputs, tmp_path / "mine.onnx")
    with pytest.raises(ConfigError, match="is a directory"):
        gnnrl.export_onnx(small, inputs, tmp_path)
    with pytest.raises(ConfigError, match="opset 7 is too old"):
        gnnrl.export_onnx(small, inputs, tmp_path / "a.onnx", opset=7)
    assert (tmp_path / "mine.onnx").read_text() == "mine"


def test_inputs_that_do_not_fit_are_told_apart_from_what_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not run on the example inputs \(\[2, 7\]\)"):
        gnnrl.export_onnx(FixedBatch(), torch.randn(2, 7), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_a_difference_is_relative_to_its_own_output_and_nan_is_never_small() -> None:
    found = [torch.tensor([1.0, 2.0]), torch.tensor([101.0])]

    assert differences(found, [torch.tensor([1.0, 4.0]), torch.tensor([100.0])]) == (2.0, 0.5)
    assert not differences([torch.tensor([float("nan")])], [torch.tensor([1.0])])[1] <= 1.0
    assert differences([torch.ones(2)], [torch.ones(3)])[1] == float("inf")
    assert differences([torch.zeros(2)], [torch.zeros(2)]) == (0.0, 0.0)


def test_batches_of_other_sizes_are_made_of_different_samples() -> None:
    call = Call.of({"x": torch.arange(6.0).reshape(1, 6), "ids": torch.arange(1), "scale": 3})
    three = call.of_size(3)

    assert three.kwargs["x"].shape == (3, 6)
    assert len({tuple(row.tolist()) for row in three.kwargs["x"]}) == 3
    assert three.kwargs["ids"].shape == (3,)
    assert three.kwargs["scale"] == 3
    assert torch.equal(three.of_size(1).kwargs["x"], call.kwargs["x"])
