"""The record of what was exported."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Export:
    """What was exported, and how near it is to the network in PyTorch.

    Attributes:
        path: the file; `files` are all of them, with the weights that lie beside it.
        size: bytes of all files.
        dynamic_batch: whether the file takes batches of any size; `static_reason` says why not.
        batch_sizes: batches on which the outputs were compared; empty if they were not.
        absolute: largest difference to the outputs in PyTorch; None if they were not compared.
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
