"""Tracing of networks: `torch.export` writes the program, and its labels give the `Network`.

The model is run once with data, then exported on fake tensors (training IR, not decomposed). It is not
changed.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import _trace
from torch.nn.modules import transformer

from gnnrl.errors import ConfigError, GnnrlError, InputsError, TraceError, first_line
from gnnrl.modules.guarding import own_errors
from gnnrl.modules.locations import last_user_line, user_location
from gnnrl.modules.modes import evaluating
from gnnrl.modules.outputs import Outputs, returning_tensors
from gnnrl.network.labelling.program import Labelling
from gnnrl.network.structure import Network
from gnnrl.network.tracing.admission import check_network, check_sizes
from gnnrl.network.tracing.deadline import Deadline
from gnnrl.network.tracing.followed_sizes import followed_sizes
from gnnrl.network.tracing.rehearsal import Rehearsal
from gnnrl.network.tracing.stated_sizes import try_out

Inputs = Any
_ONE_AT_A_TIME = RLock()
"""`torch.export` is not thread-safe."""


@own_errors("the trace of the network", TraceError)
def trace(
    model: nn.Module, example_inputs: Inputs, *, outputs: Outputs | None = None, trace_seconds: float = 120
) -> Network:
    """Trace a network: find its operations, the groups of channels that belong together, and its costs.

        network = gnnrl.trace(model, torch.randn(1, 3, 224, 224))

    Args:
        model: any module that `torch.export` accepts; it is not changed.
        example_inputs: a tensor, a tuple of positional arguments or a dictionary of keyword arguments, with the batch
            dimension first. Modules that they do not run keep their widths (`Network.unrun`), so give all inputs that
            the network will read.
        outputs: outputs that must keep their shapes and meaning; by default all. Names or positions in what the network
            returns, or a function that takes it and returns some of its tensors. Give `["logits"]` if a network also
            returns hidden states. The result is passed on with `network=`.
        trace_seconds: time after which the trace stops with an error that names the step it was in.

    Raises:
        ConfigError: `outputs` chooses something that the network does not return.
        InputsError: the network does not run on these inputs.
        TraceError: the network cannot be exported, sizes depend on data, or the time is over. The message names the
            module, the parameter or the line.
    """
    model = unwrapped(model)
    args, kwargs = as_arguments(example_inputs)
    if not batch_size_of(args, kwargs):
        shapes = ", ".join(_describe(value) for value in (*args, *kwargs.values()))
        raise InputsError(f"the example inputs hold no samples: their batch size is 0 ({shapes})")
    check_network(model)
    with _ONE_AT_A_TIME, evaluating(model), torch.no_grad(), _unread_masks():
        deadline = Deadline(trace_seconds, type(model).__name__)
        with deadline:
            rehearsal = _rehearse(model, args, kwargs, outputs)
            deadline.step = "torch.export wrote its program"
            with returning_tensors(rehearsal.dense, rehearsal.result, always=outputs is not None):
                program = _export(rehearsal.dense, args, kwargs)
        check_sizes(model, program)
        deadline.step = "channels were labelled"
        labelling = Labelling(model, program, batch_size_of(args, kwargs), rehearsal.counted, deadline.check)
        network = labelling.network()
        while (findings := try_out(rehearsal, network, deadline.check_probe)).frozen or findings.tied:
            labelling.tie(network, findings.tied)
            labelling.freeze(network, findings.frozen)
            network = labelling.network()
    followed = followed_sizes(model, network, findings.bindings)
    return replace(network, bindings=(*findings.bindings, *followed))


def unwrapped(model: Any) -> nn.Module:
    """Return the user's network inside `torch.compile`, `DataParallel` or `DistributedDataParallel`.

    Raises:
        ConfigError: the argument is not a network, but for example its class, or a function that makes it.
    """
    if not isinstance(model, nn.Module):
        named = getattr(model, "__name__", "")
        found = f"{named}: give an instance, {named}(...)" if callable(model) and named else type(model).__name__
        raise ConfigError(f"the network must be a torch.nn.Module, got {found}")
    network: nn.Module = model
    while True:
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            network = network.module
        elif isinstance(inner := getattr(network, "_orig_mod", None), nn.Module):
            network = inner
        else:
            return network


def as_arguments(example_inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and keyword arguments of a call to the model."""
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, tuple | list):
        return tuple(example_inputs), {}
    return (example_inputs,), {}


@contextmanager
def plain_attention() -> Iterator[None]:
    """Compute attention with operations that every format knows, not with PyTorch's fused ones for inference."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def exported(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], dynamic_shapes: Any = None
) -> torch.export.ExportedProgram:
    """Export a network with `torch.export`. Its errors are passed on, but not the graphs that it logs."""
    with warnings.catch_warnings(), _unread_masks(), _unlogged(), _unprinted():
        # torch warns about every recurrent layer, and restores the tensors itself
        warnings.filterwarnings("ignore", r"The tensor attributes? .* assigned during export")
        return torch.export.export(model, args, kwargs, dynamic_shapes=dynamic_shapes, strict=False)


@contextmanager
def _unread_masks() -> Iterator[None]:
    """Keep torch from reading the values of masks in transformers, which only hint that a mask is causal."""
    detect, transformer._detect_is_causal_mask = transformer._detect_is_causal_mask, _is_said_to_be_causal
    try:
        yield
    finally:
        transformer._detect_is_causal_mask = detect


def _is_said_to_be_causal(mask: Tensor | None, is_causal: bool | None = None, size: int | None = None) -> bool:
    return bool(is_causal)


@contextmanager
def _unlogged() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _unprinted() -> Iterator[None]:
    """Keep `torch.export` from printing the graph when it fails. The user's code can still print."""
    vars(_trace)["print"] = lambda *_, **__: None
    try:
        yield
    finally:
        del vars(_trace)["print"]


def _rehearse(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Outputs | None) -> Rehearsal:
    """Run the model once, so that wrong inputs are not taken for limits of the export."""
    try:
        return Rehearsal(model, args, kwargs, outputs)
    except GnnrlError:
        raise
    except Exception as error:
        shapes = ", ".join(_describe(value) for value in (*args, *kwargs.values()))
        where = user_location(error)
        raise InputsError(
            f"the network does not run on the example inputs ({shapes}): "
            f"{first_line(error)}{where and f' (at {where})'}"
        ) from error


def _export(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.export.ExportedProgram:
    try:
        return exported(model, args, kwargs)
    except GnnrlError:
        raise
    except Exception as error:
        where = last_user_line(str(error)) or user_location(error)
        raise TraceError(
            f"{type(model).__name__} cannot be traced{where and f' because of {where}'}. "
            f"torch.export says: {first_line(error)}. "
            "Rewrite this line so that it does not depend on values of tensors (torch.where, torch.cond), or trace the "
            "part of the network without it."
        ) from error


def batch_size_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Return the number of samples in inputs, which is the first size of the first tensor with several dimensions."""
    for value in torch.utils._pytree.tree_leaves((args, kwargs)):
        if isinstance(value, torch.Tensor) and value.ndim > 1:
            return int(value.shape[0])
    return 1


def _describe(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)} on {value.device}"
    return type(value).__name__
