"""OpenVINO on the processor as an engine; int8 is static quantisation with its companion NNCF."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gnnrl.artifacts.inputs import Call as Inputs
from gnnrl.artifacts.onnx import export_onnx
from gnnrl.engines.engine import Runtime
from gnnrl.engines.quantization import quantize_openvino
from gnnrl.imports import require
from gnnrl.latency.stopwatch import Call

_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""What the layers that are not quantised compute in; left alone, OpenVINO takes bfloat16 where the processor has it."""


class OpenVino(Runtime):
    """OpenVINO."""

    name = "openvino"
    precisions = ("fp32", "bf16", "int8")
    extra = "openvino"

    @property
    def version(self) -> str:
        """Its name and version."""
        return f"openvino {require('openvino', self.extra).__version__.partition('-')[0]}"

    def build(self, model: nn.Module, example_inputs: Any, precision: str = "fp32") -> Call:
        """Return a function that runs the exported network; for int8 it is calibrated on the example inputs."""
        openvino = require("openvino", self.extra)
        values = [tensor.numpy() for tensor in Inputs.of(example_inputs).tensors()]
        with tempfile.TemporaryDirectory(prefix="gnnrl-") as folder:
            file = Path(folder) / "network.onnx"
            export_onnx(model, example_inputs, file, dynamic_batch=False, check=False)
            network = openvino.Core().read_model(str(file))
            if precision == "int8":
                network = quantize_openvino(network, [values])
            compiled = openvino.Core().compile_model(network, "CPU", self._settings(precision))
        request = compiled.create_infer_request()
        return lambda: list(request.infer(values).values())

    @staticmethod
    def _settings(precision: str) -> dict[str, Any]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
        }
