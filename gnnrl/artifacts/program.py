"""export_program(model, example_inputs, path): a `.pt2` of `torch.export`; gnnrl writes such files, but reads none."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils._pytree import tree_map

from gnnrl.artifacts.exported import Export
from gnnrl.artifacts.inputs import Call, differences, on_cpu, outputs
from gnnrl.errors import ExportError, first_line
from gnnrl.modules.locations import last_user_line, user_location
from gnnrl.modules.modes import evaluating
from gnnrl.network.tracing.tracer import exported, plain_attention
from gnnrl.storage.files import check_file, publish_files, staged

TOLERANCE = 1e-4
"""Largest accepted difference, relative to the largest number of an output."""


def export_program(
    model: nn.Module, example_inputs: Any, path: str | Path, *, dynamic_batch: bool = True, force: bool = False
) -> Export:
    """Write the program of a network in evaluation mode, for `torch.export.load`.

    Args:
        example_inputs: a tensor, a tuple or a dictionary of inputs, batch dimension first.
        dynamic_batch: allow batches of any size, if the network's code does.
        force: replace an existing file.

    Raises:
        ConfigError: the file exists or cannot be written, or the network does not run on these inputs.
        ExportError: the network cannot be exported, or the program computes something else.
    """
    target, call, model = check_file(path, force=force), Call.of(example_inputs), on_cpu(model)
    with evaluating(model), plain_attention():
        program, reason = batched_program(model, call, dynamic_batch=dynamic_batch)
        checked = check_sizes(call, dynamic=not reason)
        absolute, relative = compared(partial(outputs, program.module()), model, call, checked)
        if not relative <= TOLERANCE:
            raise ExportError(f"the exported program differs from {type(model).__name__} by {relative:.2g}")
    with staged(target) as staging:
        torch.export.save(program, staging / target.name)
        files, size = publish_files(staging, target)
    return Export(target, files, size, not reason, reason, checked, absolute, relative)


def batched_program(model: nn.Module, call: Call, *, dynamic_batch: bool) -> tuple[ExportedProgram, str]:
    """Export with a batch of any size; if the code fixes the size, with the size of the inputs.

    Returns:
        The program, and the reason for a fixed batch, "" if it is not fixed.

    Raises:
        ConfigError: the network does not run on these inputs.
        ExportError: the network cannot be exported; the message names the line that prevents it.
    """
    outputs(model, call)
    reason = "a fixed batch was requested"
    if dynamic_batch:
        several = call if call.batch > 1 else call.of_size(2)  # torch.export treats a size of 1 as a constant
        batch = Dim("batch", min=1)
        shapes = tree_map(lambda leaf: {0: batch} if several.batched(leaf) else None, several.by_parameter(model))
        try:
            return exported(model, several.args, several.kwargs, shapes), ""
        except Exception as error:
            reason = f"the code of the network fixes its batch: {first_line(error)}"
    try:
        return exported(model, call.args, call.kwargs), reason
    except Exception as error:
        where = last_user_line(str(error)) or user_location(error)
        raise ExportError(
            f"{type(model).__name__} cannot be exported{where and f' because of {where}'}. "
            f"torch.export says: {first_line(error)}."
        ) from error


def check_sizes(call: Call, *, dynamic: bool) -> tuple[int, ...]:
    """Return the batch sizes to compare: 1 and one that the export has not seen; for a fixed batch the inputs' size."""
    return (1, max(call.batch, 2) + 1) if dynamic else (call.batch,)


def compared(
    run: Callable[[Call], list[Tensor]], model: nn.Module, call: Call, sizes: Sequence[int]
) -> tuple[float, float]:
    """Return the `differences` between an exported network, which `run` calls, and the network on batches of sizes."""
    batches = [call.of_size(size) for size in sizes]
    found = [tensor for inputs in batches for tensor in run(inputs)]
    return differences(found, [tensor for inputs in batches for tensor in outputs(model, inputs)])
