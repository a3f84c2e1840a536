"""export(model, path): one function for all formats, chosen by name or by the suffix of the file."""

from pathlib import Path
from typing import Any

from torch import nn

from gnnrl.artifacts.exported import Export
from gnnrl.artifacts.onnx import export_onnx
from gnnrl.artifacts.patch import export_patch
from gnnrl.artifacts.program import export_program
from gnnrl.errors import ConfigError

FORMATS = {"onnx": ".onnx", "pt2": ".pt2", "patch": ".py"}


def export(
    model: nn.Module,
    path: str | Path,
    *,
    form: str | None = None,
    example_inputs: Any = None,
    dense: nn.Module | None = None,
    dynamic_batch: bool = True,
    opset: int | None = None,
    force: bool = False,
) -> Export:
    """Write a pruned network in one of the formats.

    Args:
        form: "onnx", "pt2" or "patch"; by default the format of the path's suffix: .onnx, .pt2 or .py.
        example_inputs: inputs of the network, needed for onnx and pt2.
        dense: a dense instance of the network's class, needed for patch.
        opset: version of the ONNX operators, only for onnx.

    Raises:
        ConfigError: the format is not known, or an argument that it needs is missing. The three functions for the
            formats raise further errors.
    """
    form = form or next((known for known, suffix in FORMATS.items() if Path(path).suffix == suffix), None)
    if form not in FORMATS:
        names = ", ".join(f"{known} ({suffix})" for known, suffix in FORMATS.items())
        raise ConfigError(f"there is no export format {form or Path(path).suffix!r}; choose one of {names}")
    if opset is not None and form != "onnx":
        raise ConfigError(f"the format {form} has no opset; only onnx has one")
    if form == "patch":
        if dense is None:
            raise ConfigError("the format patch needs `dense`, a dense instance of the network's class")
        return export_patch(dense, model, path, force=force)
    if example_inputs is None:
        raise ConfigError(f"the format {form} needs `example_inputs`, like compress")
    if form == "pt2":
        return export_program(model, example_inputs, path, dynamic_batch=dynamic_batch, force=force)
    return export_onnx(model, example_inputs, path, dynamic_batch=dynamic_batch, opset=opset, force=force)
