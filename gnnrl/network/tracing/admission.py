"""Checks that refuse networks before a trace or after the export, with advice."""

import torch
from torch import nn

from gnnrl.errors import ConfigError, TraceError
from gnnrl.modules.locations import last_user_line
from gnnrl.network.labelling.nodes import enclosing_modules
from gnnrl.network.labelling.operations.call import operation_name
from gnnrl.network.structure import Network

_QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.ao.nn.sparse.quantized")


def check_network(model: nn.Module) -> None:
    """Refuse a network that cannot be analysed, or that has unusable weights.

    Raises:
        TraceError: the network is refused. The message names the module or the parameter.
    """
    for name, module in model.named_modules():
        if reason := _obstacle(module):
            where = f"{name} ({type(module).__name__})" if name else type(module).__name__
            raise TraceError(f"{where} cannot be traced: {reason}")
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise TraceError(f"{name} is not initialised (a lazy module); run the model once before you trace it")
        if parameter.is_complex():
            raise TraceError(f"{name} holds complex numbers, whose costs are unknown; give a network of real numbers")
        if parameter.is_floating_point() and parameter.device.type != "meta" and not _is_finite(parameter):
            raise TraceError(f"{name} holds NaN or infinite values; load finite weights before pruning")


def check_weights(model: nn.Module, network: Network | None = None) -> None:
    """Refuse a network without data in its weights, and one that is not the traced network.

    Raises:
        TraceError: a parameter is on the device meta. The message names the first one.
        ConfigError: a tensor differs from the traced one. The message names the first one.
    """
    for name, parameter in model.named_parameters():
        if parameter.device.type == "meta":
            raise TraceError(
                f"{name} has no data (device meta): the network can be traced and measured, but not pruned; load "
                "its weights onto the cpu or a GPU first"
            )
    own = {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers(remove_duplicate=False))}
    for name, shape in {} if network is None else network.shapes.items():
        if name not in own or tuple(own[name].shape) != shape:
            found = f"has the shape {list(own[name].shape)}" if name in own else "does not exist"
            raise ConfigError(
                f"the network was traced from another model: there {name} has the shape {list(shape)}, and it {found} "
                f"in this {type(model).__name__}. Trace this model, trace(model, example_inputs), or omit `network`"
            )


def check_sizes(model: nn.Module, program: torch.export.ExportedProgram) -> None:
    """Refuse a program with tensors whose sizes depend on data, because its costs cannot be known.

    Raises:
        TraceError: there is such a tensor. The message names the module, the operation and the line of the first one.
    """
    for node in program.graph.nodes:
        values = torch.utils._pytree.tree_leaves(node.meta.get("val"))
        if any(isinstance(value, torch.Tensor) and not _is_sized(value) for value in values):
            modules = [path for path, _ in enclosing_modules(node) if path]
            inside = f"{modules[-1]} of " if modules else ""
            where = last_user_line(node.meta.get("stack_trace") or "")
            raise TraceError(
                f"{inside}{type(model).__name__} cannot be traced: the size of the result of {operation_name(node)}"
                f"{where and f' at {where}'} depends on the values of its input, so its cost cannot be known. Use an "
                "operation whose size is the same for all inputs (multiply by the mask, torch.where, topk of a fixed "
                "number), or trace the part of the network without it"
            )


def _is_sized(value: torch.Tensor) -> bool:
    return all(isinstance(size, int) for size in value.shape)


def _obstacle(module: nn.Module) -> str:
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript has no modules that can be made narrower; give the network that it was made from"
    if type(module).__module__.startswith(_QUANTIZED):
        return "its weights are packed integers; prune the floating-point network first, then quantize the result"
    if type(module).__name__ == "FullyShardedDataParallel":
        return "this process has only a part of its weights; give the network that it was made from, with all weights"
    return ""


def _is_finite(parameter: torch.Tensor) -> bool:
    """Return whether all values are finite. Their sum, which needs no memory, is tried first; it may overflow."""
    with torch.no_grad():
        return bool(torch.isfinite(parameter.sum())) or bool(torch.isfinite(parameter).all())
