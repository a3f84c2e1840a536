"""onnxruntime on the processor as an engine; int8 is static quantisation with its own tools."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from gnnrl.artifacts.inputs import Call as Inputs
from gnnrl.artifacts.onnx import export_onnx, onnx_session, run_onnx
from gnnrl.engines.engine import Runtime
from gnnrl.engines.quantization import quantize_onnx
from gnnrl.imports import require
from gnnrl.latency.stopwatch import Call


class OnnxRuntime(Runtime):
    """onnxruntime."""

    name = "onnxruntime"
    precisions = ("fp32", "int8")
    extra = "onnx"

    @property
    def version(self) -> str:
        """Its name and version."""
        return f"onnxruntime {require('onnxruntime', self.extra).__version__}"

    def build(self, model: nn.Module, example_inputs: Any, precision: str = "fp32") -> Call:
        """Return a function that runs the exported network; for int8 it is calibrated on the example inputs."""
        require("onnxruntime", self.extra)
        tensors = Inputs.of(example_inputs).tensors()
        with tempfile.TemporaryDirectory(prefix="gnnrl-") as folder:
            file = Path(folder) / "network.onnx"
            export_onnx(model, example_inputs, file, dynamic_batch=False, check=False)
            if precision == "int8":
                file = quantize_onnx(file, Path(folder) / "int8.onnx", [tensors])
            session = onnx_session(file)
        return partial(run_onnx, session, tensors)
