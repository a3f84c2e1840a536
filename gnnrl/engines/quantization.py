"""Static quantisation to int8 with the engines' own tools: QDQ files of onnxruntime, and NNCF for OpenVINO."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from torch import Tensor

from gnnrl.imports import require


@dataclass(frozen=True, slots=True)
class Format:
    """How onnxruntime stores int8.

    Attributes:
        name: activations and weights: U8S8, S8S8.
        signed: signed activations.
        reduce_range: weights of 7 bits, because without VNNI sums of U8S8 saturate.
        per_channel: a scale for each output channel of a weight.
    """

    name: str
    signed: bool = False
    reduce_range: bool = False
    per_channel: bool = True


FORMATS = (Format("U8S8"), Format("S8S8", signed=True), Format("U8S8, 7 bits", reduce_range=True))
"""Formats to try; the first is the fastest where the processor has VNNI."""


def quantize_onnx(
    source: Path,
    target: Path,
    samples: Sequence[Sequence[Tensor]],
    form: Format = FORMATS[0],
    leave: Sequence[str] = (),
) -> Path:
    """Write the int8 version of an ONNX file, and return its path.

    Args:
        samples: inputs to calibrate on, each the tensors of one call.
        leave: names of nodes that stay in float.

    Raises:
        ConfigError: onnxruntime is not installed.
    """
    tools = require("onnxruntime.quantization", "onnx")
    shape_inference = require("onnxruntime.quantization.shape_inference", "onnx")
    prepared = target.with_name(f"prepared-{target.name}")
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it advises to do what is done here
    try:
        shape_inference.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        tools.quantize_static(
            str(prepared),
            str(target),
            _Samples(prepared, samples),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=form.per_channel,
            reduce_range=form.reduce_range,
            activation_type=tools.QuantType.QInt8 if form.signed else tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            nodes_to_exclude=list(leave),
        )
    finally:
        logging.getLogger().setLevel(level)
        prepared.unlink(missing_ok=True)
    return target


def quantize_openvino(network: Any, samples: Sequence[Sequence[Any]]) -> Any:
    """Return the int8 version of an OpenVINO model, calibrated on samples, each the arrays of one call.

    Raises:
        ConfigError: NNCF is not installed.
    """
    for name in ("nncf", "torch.utils.cpp_extension"):  # NNCF loads the latter, which warns of a missing GPU
        logging.getLogger(name).setLevel(logging.ERROR)
    nncf = require("nncf", "openvino")
    with redirect_stdout(StringIO()):  # bars of its own
        return nncf.quantize(network, nncf.Dataset([list(each) for each in samples]), subset_size=len(samples))


class _Samples:
    """The calibration data as onnxruntime reads them."""

    def __init__(self, file: Path, samples: Sequence[Sequence[Tensor]]) -> None:
        self._names = [each.name for each in require("onnx", "onnx").load(str(file)).graph.input]
        self._samples: Iterator[Sequence[Tensor]] = iter(samples)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next sample, None after the last."""
        sample = next(self._samples, None)
        if sample is None:
            return None
        return {name: value.numpy() for name, value in zip(self._names, sample, strict=True)}
