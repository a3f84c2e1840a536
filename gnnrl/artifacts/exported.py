"""The record of an export."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Export:
    """An exported network, and its difference from the network in PyTorch.

    Attributes:
        path: the main file; `files` are all files, including separate weights.
        size: bytes of all files.
        dynamic_batch: True if the file takes batches of any size; otherwise `static_reason` gives the reason.
        batch_sizes: sizes of the batches on which the outputs were compared; empty if they were not compared.
        absolute: largest difference from the outputs in PyTorch; None if they were not compared.
        relative: the same, divided by the largest number of that output.
        opset: version of the ONNX operators; None for other formats.
    """

    path: Path
    files: tuple[Path, ...]
    size: int
    dynamic_batch: bool = True
    static_reason: str = ""
    batch_sizes: tuple[int, ...] = ()
    absolute: float | None = None
    relative: float | None = None
    opset: int | None = None
