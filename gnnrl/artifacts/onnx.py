"""export_onnx(model, example_inputs, path): an ONNX file, compared with the network in PyTorch by onnxruntime."""

import re
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from gnnrl.artifacts.exported import Export
from gnnrl.artifacts.inputs import Call, input_names, on_cpu, output_names
from gnnrl.artifacts.program import TOLERANCE, batched_program, check_sizes, compared
from gnnrl.errors import ConfigError, ExportError, first_line
from gnnrl.imports import install_command
from gnnrl.modules.locations import last_user_line
from gnnrl.modules.modes import evaluating
from gnnrl.network.tracing.tracer import plain_attention
from gnnrl.storage.files import check_file, publish_files, staged

ONE_FILE = 1_900_000_000
"""Bytes of weights that are stored in the file itself; ONNX allows no file above 2 GB."""
OLDEST_OPSET = 18
Differences = tuple[float | None, float | None]


def export_onnx(
    model: nn.Module,
    example_inputs: Any,
    path: str | Path,
    *,
    dynamic_batch: bool = True,
    opset: int | None = None,
    check: bool = True,
    force: bool = False,
) -> Export:
    """Write a network in evaluation mode as ONNX.

    Inputs have the names of the parameters of `forward`, outputs the keys of the returned dictionary, or `output`.
    Weights above 1.9 GB are stored in a second file, `NAME.data`.

    Args:
        example_inputs: a tensor, a tuple or a dictionary of inputs, batch dimension first.
        dynamic_batch: allow batches of any size; if the network's code fixes the size, the record gives the reason.
        opset: version of the ONNX operators, at least 18; by default the one that PyTorch recommends.
        check: compare with PyTorch, on one sample and another batch, if onnxruntime is installed.
        force: replace an existing file.

    Raises:
        ConfigError: the extra `onnx` is missing, the file exists or cannot be written, or an argument is wrong.
        ExportError: an operation cannot be exported, or the file differs by more than 1e-4 of the largest output.
    """
    _check_extra()
    if opset is not None and opset < OLDEST_OPSET:
        raise ConfigError(f"opset {opset} is too old; PyTorch exports {OLDEST_OPSET} and newer")
    target, call, model = check_file(path, force=force), Call.of(example_inputs), on_cpu(model)
    check = check and find_spec("onnxruntime") is not None
    with evaluating(model), plain_attention(), staged(target) as staging:
        file, flat, tensors = staging / target.name, Flat(model, call), flattened(call)
        program, reason = batched_program(flat, tensors, dynamic_batch=dynamic_batch)
        version = _write(program, model, call, file, opset)
        sizes = check_sizes(call, dynamic=not reason) if check else ()
        problem, found = _compare(model, call, file, sizes)
        if problem and not reason:
            reason = f"with a batch of any size, {problem}"
            program, _ = batched_program(flat, tensors, dynamic_batch=False)
            version = _write(program, model, call, file, opset)
            sizes = check_sizes(call, dynamic=False)
            problem, found = _compare(model, call, file, sizes)
        if problem:
            raise ExportError(f"{type(model).__name__} was exported, but {problem}; no file was written")
        files, size = publish_files(staging, target)
    return Export(target, files, size, not reason, reason, sizes, *found, version)


class Flat(nn.Module):
    """A network in the form that ONNX needs: a function from tensors to tensors, without containers."""

    def __init__(self, model: nn.Module, call: Call) -> None:
        super().__init__()
        self.model = model
        self._leaves, self._form = tree_flatten((call.args, call.kwargs))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the network; take inputs other than tensors from the example, and leave out such outputs."""
        given = iter(tensors)
        leaves = [next(given) if isinstance(leaf, Tensor) else leaf for leaf in self._leaves]
        args, kwargs = tree_unflatten(leaves, self._form)
        return tuple(leaf for leaf in tree_leaves(self.model(*args, **kwargs)) if isinstance(leaf, Tensor))


def flattened(call: Call) -> Call:
    """Return a call with the tensors as positional arguments."""
    return Call(tuple(call.tensors()), {}, call.batch)


def _check_extra() -> None:
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"export to ONNX needs {' and '.join(missing)}; run: {install_command('onnx')}")


def _write(program: ExportedProgram, model: nn.Module, call: Call, file: Path, opset: int | None) -> int:
    """Convert a program and write it; return the version of the operators."""
    for old in file.parent.iterdir():
        old.unlink()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations between torch, onnxscript and onnx
            converted = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=input_names(model, call),
                output_names=output_names(model, call),
            )
            assert converted is not None
            large = sum(tensor.nbytes for tensor in program.state_dict.values()) > ONE_FILE
            converted.save(file, external_data=large)
    except Exception as error:
        raise ExportError(_what_failed(error, program, model)) from error
    version = int(converted.model.opset_imports[""])
    if opset is not None and version != opset:
        raise ExportError(f"{type(model).__name__} cannot be written with opset {opset}; {version} is possible")
    return version


def _what_failed(error: Exception, program: ExportedProgram, model: nn.Module) -> str:
    operation = re.search(r"No ONNX function found for <OpOverload\(op='([^']+)', overload='([^']+)'\)>", str(error))
    if operation is None:
        cause = re.search(r"<class '[^']*(?:Error|Exception)'>: .*", str(error))
        said = cause.group() if cause else first_line(error)
        return f"{type(model).__name__} cannot be converted to ONNX: {said[:300]}"
    name = ".".join(operation.groups())
    nodes = [node for node in program.graph.nodes if str(node.target) == name]
    where = last_user_line(str(nodes[0].meta.get("stack_trace", ""))) if nodes else ""
    return (
        f"{type(model).__name__} cannot be converted to ONNX: there is no operator for {operation.group(1)}"
        f"{where and f' (at {where})'}. Write that line with other operations."
    )


def _compare(model: nn.Module, call: Call, file: Path, sizes: tuple[int, ...]) -> tuple[str, Differences]:
    """Run the file with onnxruntime on batches of these sizes.

    Returns:
        What is wrong with the file, "" if nothing is, and its differences from PyTorch; None without sizes.
    """
    if not sizes:
        return "", (None, None)
    try:
        session = onnx_session(file)
        absolute, relative = compared(lambda inputs: run_onnx(session, inputs.tensors()), model, call, sizes)
    except ConfigError:
        raise
    except Exception as error:  # the errors of onnxruntime have no common base class
        return f"onnxruntime cannot run it: {first_line(error)}", (None, None)
    problem = f"its output differs from PyTorch by {relative:.2g} of the largest"
    return "" if relative <= TOLERANCE else problem, (absolute, relative)


def onnx_session(file: Path, threads: int | None = None) -> Any:
    """Open a file with onnxruntime on the CPU, by default with as many threads as PyTorch uses."""
    runtime = import_module("onnxruntime")
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = threads or torch.get_num_threads()
    settings.log_severity_level = 3
    return runtime.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])


def run_onnx(session: Any, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Run a session on the tensors of a call, in order."""
    names = [known.name for known in session.get_inputs()]
    values = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
    return [torch.from_numpy(value) for value in session.run(None, values)]
