"""Which networks are refused by name, before a trace or after the export, with what to do instead."""

import torch
from torch import nn

from gnnrl.errors import ConfigError, TraceError
from gnnrl.modules.locations import last_user_line
from gnnrl.network.labelling.operations.call import operation_name
from gnnrl.network.labelling.program import enclosing_modules
from gnnrl.network.structure import Network

_QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.ao.nn.sparse.quantized")


def check_network(model: nn.Module) -> None:
    """Refuse a network that cannot be analysed, or whose numbers are no use.

    Raises:
        TraceError: names the module or the parameter.
    """
    for name, module in model.named_modules():
        if reason := _obstacle(module):
            where = f"{name} ({type(module).__name__})" if name else type(module).__name__
            raise TraceError(f"{where} cannot be traced: {reason}")
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise TraceError(f"{name} is not initialised yet (a lazy module); run the model once before tracing it")
        if parameter.is_complex():
            raise TraceError(f"{name} holds complex numbers, whose costs are not known; give a network of real numbers")
        if parameter.is_floating_point() and parameter.device.type != "meta" and not _is_finite(parameter):
            raise TraceError(f"{name} holds NaN or infinite values; load sound weights before pruning")


def check_weights(model: nn.Module, network: Network | None = None) -> None:
    """Refuse a network without weights to prune, and one that is not the network that was traced.

    Raises:
        TraceError: names the first parameter on the device meta.
        ConfigError: names the first tensor that is not as it was traced.
    """
    for name, parameter in model.named_parameters():
        if parameter.device.type == "meta":
            raise TraceError(
                f"{name} has no data (device meta): such a network can be traced and measured, but not pruned; load "
                "its weights onto the cpu or a GPU first"
            )
    own = {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers(remove_duplicate=False))}
    for name, shape in {} if network is None else network.shapes.items():
        if name not in own or tuple(own[name].shape) != shape:
            found = f"is {list(own[name].shape)}" if name in own else "is not there"
            raise ConfigError(
                f"network was traced of another model: {name} is {list(shape)} there, and {found} in this "
                f"{type(model).__name__}. Trace this one, trace(model, example_inputs), or leave `network` away"
            )


def check_sizes(model: nn.Module, program: torch.export.ExportedProgram) -> None:
    """Refuse a program with tensors whose sizes depend on data: what its channels cost cannot be known.

    Raises:
        TraceError: names the module, the operation and the line of the first of them.
    """
    for node in program.graph.nodes:
        values = torch.utils._pytree.tree_leaves(node.meta.get("val"))
        if any(isinstance(value, torch.Tensor) and not _is_sized(value) for value in values):
            modules = [path for path, _ in enclosing_modules(node) if path]
            inside = f"{modules[-1]} of " if modules else ""
            where = last_user_line(node.meta.get("stack_trace") or "")
            raise TraceError(
                f"{inside}{type(model).__name__} cannot be traced: the size of what {operation_name(node)} gives"
                f"{where and f' at {where}'} depends on the values of its input, so its cost cannot be known. Keep "
                "the size the same for all inputs here (multiply by the mask, torch.where, topk of a fixed number), "
                "or trace the part of the network without it"
            )


def _is_sized(value: torch.Tensor) -> bool:
    return all(isinstance(size, int) for size in value.shape)


def _obstacle(module: nn.Module) -> str:
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript has no modules that could be made narrower; give the network that it was made of"
    if type(module).__module__.startswith(_QUANTIZED):
        return "its weights are packed integers; prune the network of floating point first, then quantize the result"
    if type(module).__name__ == "FullyShardedDataParallel":
        return "this process has only a part of its weights; give the network that it was made of, with all of them"
    return ""


def _is_finite(parameter: torch.Tensor) -> bool:
    """Whether all values are finite; their sum, which needs no memory, says so of all but enormous ones."""
    with torch.no_grad():
        return bool(torch.isfinite(parameter.sum())) or bool(torch.isfinite(parameter).all())
