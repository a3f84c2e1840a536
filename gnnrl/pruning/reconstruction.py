"""Repair of a pruned network in place: see `repair_pass` for its mathematics."""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gnnrl.errors import ConfigError, GnnrlWarning
from gnnrl.network.structure import Network
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.calibration.program import Diverged
from gnnrl.pruning.repair_pass import Repair as Repair
from gnnrl.pruning.repair_pass import RepairPass

REPAIRS = {"none": None, "bn": Repair(least_squares=False), "ls": Repair()}


def find_repair(name: str, model: nn.Module | None = None) -> Repair | None:
    """Return the settings of a repair; None for the repair "none".

    Args:
        model: the network to repair, if it is known.

    Raises:
        ConfigError: the name is unknown, or the repair would do nothing to this network.
    """
    if name not in REPAIRS:
        raise ConfigError(f"unknown repair {name!r}; choose one of {', '.join(REPAIRS)}")
    settings = REPAIRS[name]
    needs_norm = settings is not None and not settings.least_squares
    if needs_norm and model is not None and not any(key.endswith("running_var") for key, _ in model.named_buffers()):
        raise ConfigError(f"repair {name!r} does nothing: the network has no BatchNorm; choose 'ls' or 'none'")
    return settings


@dataclass(frozen=True, slots=True)
class Repaired:
    """Facts about a repair.

    Attributes:
        algebra_seconds: time of everything but the network's own forward pass.
        worse: numbers of layer calls whose solved weights are worse on images that they are not fitted to.
        solved: names of the weights that were solved.
    """

    algebra_seconds: float
    worse: frozenset[int]
    solved: frozenset[str]


@torch.no_grad()
def repair(
    small: nn.Module,
    network: Network,
    kept: Sequence[ArrayLike],
    calibration: Calibration,
    settings: Repair | None = None,
    fitted: int | None = None,
    left: Collection[int] | None = (),
) -> Repaired:
    """Repair a pruned network in place, by one forward pass over the calibration images.

    Args:
        small: the network that `remove` returned for these kept units.
        network: the dense network, traced.
        calibration: statistics of the dense network.
        fitted: number of images that layers are fitted to, the first ones: all of them or `calibration.fitted`.
        left: numbers of layer calls whose weights stay as they are; None solves all, and notes those that are worse on
            images that they are not fitted to.
    """
    images = fitted or calibration.images
    parts = [part for part in calibration.parts if part.start < images or left is None]
    before = [value.clone() for value in _tensors(small)]
    attempts = [(parts, True), (parts, False)]
    while True:
        chosen, defer = attempts.pop(0)
        pass_ = RepairPass(small, network, kept, calibration, settings or Repair(), images, chosen, defer, left)
        try:
            pass_.run()
        except Diverged:
            _warn_of_paths(parts[0].stop, images)
            attempts = [(parts[:1], True), (parts[:1], False)]
        else:
            if not pass_.deferred:
                return Repaired(pass_.algebra_seconds, frozenset(pass_.worse), frozenset(pass_.solved))
        for value, old in zip(_tensors(small), before, strict=True):
            value.copy_(old)


def unsolved(small: nn.Module, network: Network, kept: Sequence[ArrayLike], solved: Collection[str]) -> tuple[str, ...]:
    """Name the weights that read channels which are gone, and that a repair did not solve.

    These are the weights of transposed convolutions, of recurrent cells, those with a normalisation of their own, and
    those that more than one layer reads.
    """
    matrices = {name for name, value in small.named_parameters() if value.ndim > 1}
    tables = {name for each in network.operations if each.name == "embedding" for name in each.parameters.values()}
    inputs = {name: 0 for each in network.operations if "transpose" in each.name for name in each.parameters.values()}
    lost = [group for group, units in zip(network.groups, kept, strict=True) if np.size(units) < group.size]
    reading = {place.tensor for group in lost for place in group.places if place.dim == inputs.get(place.tensor, 1)}
    return tuple(sorted((reading & matrices) - tables - set(solved)))


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _warn_of_paths(used: int, images: int) -> None:
    warnings.warn(
        f"the repair uses {used} of {images} calibration images, as many as fit into memory together: the code of the "
        "network does different operations for different images, so that its passes cannot be resumed in the middle",
        GnnrlWarning,
        stacklevel=4,
    )
