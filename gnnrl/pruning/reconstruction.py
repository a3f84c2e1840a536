"""Repair: one forward pass in which the weights of every layer are solved for the inputs that are left.

When a layer of the pruned network runs, its inputs X̃ are the outputs of the repaired layers before it, and the dense
network's outputs Y at the same positions are known. The layer's weights become

    W = argmin ‖Y − W X̃ − b‖² + λ ‖W − W_old‖²

for the outputs that are left; a grouped convolution is solved group by group. The scale and shift of a group, layer or
root-mean-square normalisation are solved in the same way, from its normalised values. If the (normalised, scaled)
output of a layer is added to a residual stream, the layer is solved at the addition, for  Y = dense stream − pruned
other operand.  So each block also corrects the errors of the blocks before it. Batch normalisations take the statistics
of the pruned network in the same pass.

Least-squares reconstruction of the next layer: He et al. 2017, https://arxiv.org/abs/1707.06168; in sequence and on the
stream, measured in `benchmarks/repair.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gnnrl.errors import ConfigError
from gnnrl.modules.parameters import Names
from gnnrl.network.structure import Network
from gnnrl.pruning.calibration.dense import Calibration, norm_scale
from gnnrl.pruning.calibration.layer_calls import LayerCall, normalise
from gnnrl.pruning.calibration.records import LayerRecord
from gnnrl.pruning.calibration.sampling import sampled_inputs, sampled_outputs
from gnnrl.pruning.calibration.watch import Observer, watching
from gnnrl.pruning.least_squares import PER_INPUT, RIDGE, solve


@dataclass(frozen=True, slots=True)
class Repair:
    """Settings of a repair pass.

    Attributes:
        least_squares: solve the layers; otherwise only batch normalisation is recalibrated.
        stream: solve branches for the residual stream, not for their own dense output.
        new_variance: let batch normalisation take the variance of the pruned network after a solved layer, too.
        ridge, per_input: pull towards the old weights, see `least_squares.damping`.
    """

    least_squares: bool = True
    stream: bool = True
    new_variance: bool = False
    ridge: float = RIDGE
    per_input: float = PER_INPUT


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


@torch.no_grad()
def repair(
    small: nn.Module,
    network: Network,
    kept: Sequence[ArrayLike],
    calibration: Calibration,
    settings: Repair | None = None,
) -> float:
    """Repair a pruned network in place, by one forward pass over the calibration images.

    Args:
        small: the network that `remove` returned for these kept units.
        network: the dense network, traced.
        calibration: statistics of the dense network.

    Returns:
        Seconds of algebra, which is everything but the network's own forward pass.
    """
    pass_, _ = run_pass(small, network, kept, calibration, settings or Repair())
    return pass_.algebra_seconds


def run_pass(
    small: nn.Module,
    network: Network,
    kept: Sequence[ArrayLike],
    calibration: Calibration,
    settings: Repair,
    fitted: int | None = None,
) -> tuple["RepairPass", Any]:
    """Repair in place; return the pass and the network's outputs for all calibration images.

    Args:
        fitted: number of images that layers are fitted to, the first ones; the others only pass through.
    """
    before = [value.clone() for value in (*small.parameters(), *small.buffers())]
    for defer in (True, False):
        pass_ = RepairPass(small, network, kept, calibration, settings, fitted or calibration.images, defer)
        with watching(small, pass_.observer):
            outputs = calibration.feed.run(small, calibration.inputs)
        if not pass_.deferred:
            break
        for value, old in zip((*small.parameters(), *small.buffers()), before, strict=True):
            value.copy_(old)
    return pass_, outputs


class RepairPass:
    """Solves each layer of a pruned network when it is called.

    Attributes:
        deferred: numbers of layer calls whose outputs are computed at their addition.
        algebra_seconds: time of everything but the network's own forward pass.
    """

    def __init__(
        self,
        small: nn.Module,
        network: Network,
        kept: Sequence[ArrayLike],
        calibration: Calibration,
        settings: Repair,
        fitted: int,
        defer: bool,
    ) -> None:
        self.observer = Observer(self._layer, self._norm, self._addition)
        self._names = Names(small)
        self._tensors = {id(value): name for name, value in (*small.named_parameters(), *small.named_buffers())}
        self._calibration, self._settings, self._fit = calibration, settings, fitted
        self._rows = {
            name: torch.from_numpy(index)
            for (name, dim), index in network.positions(network.alive(kept)).items()
            if dim == 0
        }
        self._once = _used_once(calibration)
        self._inputs: dict[int, Tensor] = {}
        self.deferred: set[int] = set()
        self._defer = defer and not settings.new_variance
        self.algebra_seconds = 0.0

    def _record(self, call: LayerCall) -> LayerRecord | None:
        """Return the record of a layer that can be solved: its weights are read once, on the dense layer's rows."""
        record = self._calibration.layers.get(call.order)
        if record is None or not self._settings.least_squares or record.name not in self._once:
            return None
        found = self._names.find(call.weight)
        kept = found is not None and found[0] == record.name and len(call.weight) == len(self._outputs(record))
        alone = not self._shares(record.name, record.centre, call.bias)
        return record if alone and kept and call.rows == record.rows else None

    def _shares(self, *values: str | Tensor | None) -> bool:
        """Return True if anything else reads one of these parameters or buffers: then all of them stay as they are."""
        names = {value if isinstance(value, str | None) else self._tensors.get(id(value)) for value in values}
        return not names.isdisjoint(self._calibration.shared)

    def _outputs(self, record: LayerRecord) -> Tensor:
        """Return the indices of the dense layer's outputs that are left."""
        count = record.target.shape[1]
        rows = self._rows.get(record.name)
        if rows is None:
            return torch.arange(count)
        return rows[(rows >= record.first) & (rows < record.first + count)] - record.first

    def _kept_rows(self, record: LayerRecord, value: Tensor) -> Tensor:
        outputs = self._outputs(record)
        return value if len(outputs) == value.shape[1] else value[:, outputs.to(value.device)]

    def _layer(self, call: LayerCall) -> Tensor:
        record = self._record(call)
        start = perf_counter()
        if record is not None:
            inputs = sampled_inputs(call, record.samples)
            if record.branch_target is not None and self._settings.stream:
                self._inputs[call.order] = inputs
                if self._defer and record.deferrable and _same_places(record, call):
                    self.deferred.add(call.order)
            else:
                weight, shift = self._solve(call, inputs, self._kept_rows(record, record.target), record.shifts)
                call.weight.copy_(weight.reshape(call.weight.shape))
                if call.bias is not None:
                    call.bias.copy_(shift)
            self.algebra_seconds += perf_counter() - start
        return _later(call, record) if record is not None and call.order in self.deferred else call.run()

    def _solve(
        self, call: LayerCall, inputs: Tensor, target: Tensor, shifts: bool, scale: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        old = call.matrix if scale is None else call.matrix * scale[:, None]
        return solve(
            self._fitted(inputs),
            self._fitted(target),
            old,
            ridge=self._settings.ridge,
            per_input=self._settings.per_input,
            groups=call.groups,
            centred=shifts,
            images=self._fit,
        )

    def _fitted(self, rows: Tensor) -> Tensor:
        """Return the rows of the fitted images; rows are in the order of the images."""
        return rows[: round(len(rows) * self._fit / self._calibration.images)]

    def _norm(self, arguments: dict[str, Any], call: LayerCall | None) -> Tensor:
        value: Tensor = arguments["input"]
        if call is not None and call.order in self.deferred:
            return value
        mean, variance = arguments["running_mean"], arguments["running_var"]
        if mean is not None and variance is not None and not self._shares(mean, variance):
            seen = self._fitted(value)
            dims = [dim for dim in range(value.ndim) if dim != 1]
            record = self._record(call) if call is not None and call.norm is not None else None
            if record is None or self._settings.new_variance:
                variance.copy_(seen.var(dims, correction=0))
            if record is None:
                mean.copy_(seen.mean(dims))
            else:
                mean += seen.mean(dims) - self._kept_rows(record, self._fitted(record.target)).mean(0)
        return normalise(value, arguments)

    def _addition(self, number: int, branch: Tensor, other: Tensor, call: LayerCall) -> None:
        record = self._record(call)
        inputs = self._inputs.pop(call.order, None)
        self.deferred.discard(call.order)
        if record is None or inputs is None or record.branch_target is None or record.branch_target[0] != number:
            return
        start = perf_counter()
        stream = self._kept_rows(record, record.branch_target[1])
        target = stream - sampled_outputs(other, call, record.samples)
        scale = _scale(call)
        usable = scale.abs() > 1e-3 * scale.abs().max()
        safe = torch.where(usable, scale, 1.0)
        solved, shift = self._solve(call, inputs, target, record.shifts, safe)
        call.weight[usable] = (solved / safe[:, None]).reshape(call.weight.shape)[usable]
        if call.norm is not None:
            offset = call.norm["bias"] if call.norm["bias"] is not None else 0.0
            mean = (offset - shift) / safe + (0.0 if call.bias is None else call.bias)
            call.norm["running_mean"][usable] = mean[usable]
        elif call.bias is not None:
            call.bias[usable] = (shift / safe)[usable]
        self.algebra_seconds += perf_counter() - start
        branch.copy_(call.run())


def _later(call: LayerCall, record: LayerRecord) -> Tensor:
    """Return an empty tensor for an output that is computed at its addition."""
    shape = list(record.shapes[1])
    shape[call.channel_dim] = len(call.weight)
    like_images = call.kind == "conv2d" and call.input.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if like_images else torch.contiguous_format
    found: Tensor = torch.empty(shape, dtype=call.weight.dtype, device=call.weight.device, memory_format=layout)
    return found


def _same_places(record: LayerRecord, call: LayerCall) -> bool:
    """Return True if the layer's input has the shape of the dense layer's but for the number of channels."""
    shapes = [list(shape) for shape in (record.shapes[0], call.input.shape)]
    for shape in shapes:
        shape[call.channel_dim] = 0
    return shapes[0] == shapes[1]


def _used_once(calibration: Calibration) -> set[str]:
    """Return the weights of which no row is read by two calls."""
    rows: dict[str, list[int]] = {}
    for record in calibration.layers.values():
        rows.setdefault(record.name, []).extend(range(record.first, record.first + record.target.shape[1]))
    return {name for name, used in rows.items() if len(used) == len(set(used))}


def _scale(call: LayerCall) -> Tensor:
    """Return the factor of each output of a layer before the addition to the stream [O]."""
    if call.norm is not None:
        return norm_scale(call.norm)
    return call.weight.new_ones(len(call.weight)) if call.scale is None else call.scale.flatten()
