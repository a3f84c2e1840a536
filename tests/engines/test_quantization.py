"""int8 files of onnxruntime."""

from pathlib import Path

import pytest
import torch

from gnnrl.artifacts.onnx import export_onnx, onnx_session, run_onnx
from gnnrl.engines.quantization import FORMATS, Format, quantize_onnx
from tests.topologies import topology


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_an_int8_file_is_smaller_and_computes_nearly_the_same(form: Format, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    case, x = topology("residual"), torch.randn(8, 3, 8, 8)
    export_onnx(case.model, x, tmp_path / "float.onnx", dynamic_batch=False)
    file = quantize_onnx(tmp_path / "float.onnx", tmp_path / "int8.onnx", [[x]], form)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["float.onnx", "int8.onnx"]
    assert b"QuantizeLinear" in file.read_bytes()
    with torch.no_grad():
        right = case.model(x)
    (found,) = run_onnx(onnx_session(file), [x])
    assert 0 < float((found - right).abs().max() / right.abs().max()) < 0.1


def test_layers_by_name_stay_in_float(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    case, x = topology("residual"), torch.randn(2, 3, 8, 8)
    export_onnx(case.model, x, tmp_path / "float.onnx", dynamic_batch=False)
    names = [node.name for node in onnx.load(str(tmp_path / "float.onnx")).graph.node if node.op_type == "Conv"]
    counts = []
    for leave in ([], names):
        quantize_onnx(tmp_path / "float.onnx", tmp_path / "int8.onnx", [[x]], leave=leave)
        graph = onnx.load(str(tmp_path / "int8.onnx")).graph
        counts.append(sum(node.op_type == "DequantizeLinear" for node in graph.node))
    assert counts[1] < counts[0]
