"""Verification of a pruned network against its plan, before any repair.

Three checks: it runs, and its outputs have the shapes of the dense network's; its counted size is the predicted one;
and its outputs are those of the dense network with the removed channels zeroed, and left out of normalisations.
"""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gnnrl.errors import ConfigError, GnnrlWarning, VerificationError, first_line
from gnnrl.modules.copies import copy_network
from gnnrl.modules.guarding import own_errors
from gnnrl.modules.locations import user_location
from gnnrl.modules.spectral import settle
from gnnrl.network.structure import Network
from gnnrl.pruning.counting import count_macs, run
from gnnrl.pruning.leaving_out import LeavingOut

TOLERANCE = 1e-4
_DIVIDING = {"reciprocal", "rsqrt", "log", "log2", "log10"}


@dataclass(frozen=True, slots=True)
class Verification:
    """Results of the checks.

    Attributes:
        macs: multiply-accumulates of one sample, predicted and counted.
        params: number of parameters, predicted and counted.
        difference: largest difference from the masked dense network, relative to its largest output; None if it could
            not be computed: a normalisation, in which zeroed channels would count, is not called as it was traced,
            or the masked network divides by zero.
    """

    macs: int
    params: int
    difference: float | None


@own_errors("verifying the pruned network")
@torch.no_grad()
def verify(
    model: nn.Module, small: nn.Module, network: Network, kept: Sequence[ArrayLike], example_inputs: Any
) -> Verification:
    """Compare a freshly pruned (not yet repaired) network with its plan and with the masked dense network.

    Raises:
        VerificationError: any of the three differs.
        ConfigError: the dense network does not return finite numbers.
    """
    predicted = network.cost.measure(np.array([np.size(units) for units in kept]))
    dense_output = network.counted(run(model, example_inputs))
    if not all(map(_is_finite, dense_output)):
        raise ConfigError(
            "the network returns NaN or infinite values for the example inputs, so nothing can be compared with them; "
            "give example inputs for which it returns numbers"
        )
    try:
        output = network.counted(run(small, example_inputs))
    except Exception as error:
        where = user_location(error)
        raise VerificationError(
            f"the pruned network does not run: {first_line(error)}{where and f' (at {where})'}"
        ) from error
    shapes, expected = [tuple(x.shape) for x in output], [tuple(x.shape) for x in dense_output]
    if shapes != expected:
        raise VerificationError(f"the pruned network returns {shapes}, the dense one {expected}")
    macs, params = count_macs(small, example_inputs) // network.batch_size, sum(p.numel() for p in small.parameters())
    if (macs, params) != (predicted.macs, predicted.params):
        raise VerificationError(
            f"the pruned network has {macs:,} MACs and {params:,} parameters, the plan promised "
            f"{predicted.macs:,} and {predicted.params:,}"
        )
    leaving_out = LeavingOut(network, network.alive(kept))
    with leaving_out if leaving_out.is_needed else nullcontext():
        masked = network.counted(run(mask(model, network, kept), example_inputs))
    # a removed channel may be divided by its length or deviation, which is zero in the masked network alone
    divides = all(map(_is_finite, output)) and not all(map(_is_finite, masked))
    if divides or (leaving_out.is_needed and not leaving_out.is_complete):
        return Verification(macs, params, None)
    difference = max(_difference(a, b) for a, b in zip(output, masked, strict=True))
    if not difference <= TOLERANCE and not difference <= _noise(model, network, example_inputs, dense_output):
        raise VerificationError(
            f"the pruned network differs from the masked dense one by {difference:.2g} of its largest output"
        )
    return Verification(macs, params, difference)


def mask(model: nn.Module, network: Network, kept: Sequence[ArrayLike]) -> nn.Module:
    """Return a copy of the dense network in which all weights of removed channels are zero."""
    masked = copy_network(model)
    alive = network.alive(kept)
    stored = {**dict(masked.named_parameters()), **dict(masked.named_buffers())}
    divisors = _divisors(network)
    # a direction of length zero has none: its weight is zero where its length is
    lengths = {
        (operation.parameters["v"], operation.settings["dim"])
        for operation in network.operations
        if operation.name == "_weight_norm" and "v" in operation.parameters
    }
    with torch.no_grad():
        for (name, dim), owner in network.owners.items():
            if name not in divisors and (name, dim) not in lengths:
                keep = torch.from_numpy(alive[owner]).to(stored[name].device)
                stored[name].mul_(keep.reshape([-1 if d == dim else 1 for d in range(stored[name].ndim)]))
    settle(masked, {name for (name, _), owner in network.owners.items() if not alive[owner].all()})
    return masked


def _divisors(network: Network) -> set[str]:
    """Return the parameters and buffers that something is divided by: 0 / 0 is not a number, so they are not zeroed."""
    # Collect for each operation that only computes with parameters, element by element, which ones it reads.
    sources: dict[int, set[str]] = {}
    found: set[str] = set()
    for operation in network.operations:
        stored = {index: sources[index] for index in operation.inputs if index in sources}
        named = dict(operation.parameters)
        read = set(named.values()).union(*stored.values())
        if len(stored) == len(operation.inputs):
            sources[operation.index] = {name for name in read if prod(network.shapes[name]) == prod(operation.shape)}
        exponent = operation.settings.get("exponent")
        if operation.name in ("div", "true_divide"):
            # The first operand, which is divided, is a parameter or the first input.
            rest = operation.inputs if named.pop("self", "") else operation.inputs[1:]
            found |= set(named.values()).union(*(stored.get(index, ()) for index in rest))
        elif operation.name in _DIVIDING or (isinstance(exponent, int | float) and exponent < 0):
            found |= read
        found |= {name for key, name in named.items() if key == "running_var"}
    return found


def _noise(model: nn.Module, network: Network, example_inputs: Any, output: list[Tensor]) -> float:
    """Return the difference of outputs between random seeds, with a warning if the network draws random numbers."""
    others = [network.counted(run(model, example_inputs, seed)) for seed in range(1, 4)]
    noise = max(_difference(a, b) for other in others for a, b in zip(other, output, strict=True))
    if noise > 0:
        warnings.warn(
            f"the network draws random numbers in evaluation mode, its outputs differ by {noise:.2g} of the largest "
            "from run to run; the pruned network could be compared with the masked dense one only to within that",
            GnnrlWarning,
            stacklevel=4,
        )
    return noise


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-12)) if a.numel() else 0.0


def _is_finite(value: Tensor) -> bool:
    return bool(value.isfinite().all())
