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

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gnnrl.modules.attention import narrowed
from gnnrl.modules.modes import evaluating
from gnnrl.modules.parameters import Names
from gnnrl.network.structure import Network
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.calibration.layer_calls import LayerCall, normalise
from gnnrl.pruning.calibration.records import LayerRecord
from gnnrl.pruning.calibration.sampling import Part, mean_inputs, sampled_inputs, sampled_outputs
from gnnrl.pruning.calibration.sums import Statistics
from gnnrl.pruning.calibration.watch import Observer, watching
from gnnrl.pruning.least_squares import PER_INPUT, RIDGE, is_worse, shift_of, solve
from gnnrl.pruning.others import Event, Others, Read


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


class RepairPass:
    """Solves each layer of a pruned network when it is called.

    Args:
        images: number of images that layers are fitted to, the first ones.
        parts: the images that go through the network.
        defer: if True, outputs that are only added are computed at their addition.
        left: numbers of layer calls whose weights stay as they are; None solves all, and notes those that are worse on
            images that they are not fitted to.

    Attributes:
        deferred: numbers of layer calls whose outputs are computed at their addition.
        worse: numbers of layer calls whose solved weights are worse on images that they are not fitted to.
        solved: names of the weights that were solved.
        algebra_seconds: time of everything but the network's own forward pass.
    """

    def __init__(
        self,
        small: nn.Module,
        network: Network,
        kept: Sequence[ArrayLike],
        calibration: Calibration,
        settings: Repair,
        images: int,
        parts: Sequence[Part],
        defer: bool,
        left: Collection[int] | None,
    ) -> None:
        self._small, self._calibration, self._settings = small, calibration, settings
        self._names = Names(small)
        self._tensors = {id(value): name for name, value in (*small.named_parameters(), *small.named_buffers())}
        self._rows = {
            name: torch.from_numpy(index)
            for (name, dim), index in network.positions(network.alive(kept)).items()
            if dim == 0
        }
        self._once = _used_once(calibration)
        self._parts, self._part = parts, parts[0]
        self._others: Others | None = None
        self._fit = min(images, parts[-1].stop)
        self._fitted_parts = [part for part in parts if part.start < images]
        self._share = self._fit / self._fitted_parts[-1].stop
        self._notes, self._left = left is None, left or ()
        self.worse: set[int] = set()
        self.solved: set[str] = set()
        self._inputs: dict[int, Tensor] = {}
        self._means: dict[int, Tensor] = {}
        self._norms = 0
        self._defer = defer and not settings.new_variance
        self.deferred: set[int] = set()
        self.algebra_seconds = self._waited = 0.0

    def run(self) -> None:
        """Run the first part through the network, and the others after it; raise Diverged if they cannot follow."""
        with evaluating(self._small), narrowed(self._small), ExitStack() as stack:
            if self._parts[1:]:
                self._others = stack.enter_context(closing(Others(self._small, self._calibration, self._parts[1:])))
            inputs = self._calibration.taken(self._part.start, self._part.stop)
            stack.enter_context(watching(self._small, Observer(self._layer, self._norm, self._addition)))
            self._calibration.feed.run(self._small, inputs)

    def _read(self, wanted: Mapping[Event, Read], stop: Event) -> dict[Event, list[Any]]:
        """Return what is read at events in the other parts."""
        if self._others is None:
            return {event: [] for event in wanted}
        start = perf_counter()
        found = self._others.read(wanted, stop, min(self._inputs, default=None))
        self._waited += perf_counter() - start
        return found

    @contextmanager
    def _algebra(self) -> Iterator[None]:
        """Count the seconds inside, without those of forward passes."""
        start, waited = perf_counter(), self._waited
        yield
        self.algebra_seconds += perf_counter() - start - (self._waited - waited)

    def _record(self, call: LayerCall) -> LayerRecord | None:
        """Return the record of a layer that can be solved: its weights are read once, on the dense layer's rows."""
        record = self._calibration.layers.get(call.order)
        if record is None or not self._settings.least_squares or record.name not in self._once:
            return None
        found = self._names.find(call.parameter)
        kept = found is not None and found[0] == record.name and len(call.weight) == len(self._outputs(record))
        alone = not self._shares(record.name, record.centre, call.bias, *(call.normed or ()))
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
        """Return the part of dense outputs [n, O] that is left, for the images of this pass."""
        value, outputs = value[: record.ends[len(self._parts) - 1]], self._outputs(record)
        return value if len(outputs) == value.shape[1] else value[:, outputs.to(value.device)]

    def _layer(self, call: LayerCall) -> Tensor:
        record = self._record(call)
        if record is not None:
            with self._algebra():
                self._inputs[call.order] = sampled_inputs(call, record.samples, self._part)
                if record.branch_target is None or not self._settings.stream:
                    self._solve_here(call, record)
                elif self._defer and record.deferrable and _same_places(record, call):
                    self.deferred.add(call.order)
        return call.later(record.shapes[1]) if record is not None and call.order in self.deferred else call.run()

    def _solve_here(self, call: LayerCall, record: LayerRecord) -> None:
        """Solve a layer for its own dense outputs."""
        event, means = ("layer", call.order), record.centre is not None and not self._settings.new_variance
        found = self._read({event: _inputs_of(record, means)}, event)[event]
        inputs = torch.cat([self._inputs.pop(call.order), *(rows for rows, _ in found)])
        if means and found:
            sizes = [part.stop - part.start for part in self._fitted_parts]
            each = torch.stack([mean_inputs(call), *(mean for _, mean in found)])[: len(sizes)]
            self._means[call.order] = torch.tensor(sizes, device=each.device) / sum(sizes) @ each.float()
        weight, shift = self._solve(call, record, inputs, self._kept_rows(record, record.target))
        call.assign(weight)
        if call.bias is not None:
            call.bias.copy_(shift)

    def _solve(
        self, call: LayerCall, record: LayerRecord, inputs: Tensor, target: Tensor, scale: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Solve on the fitted rows; keep the old weights of layers that are left, with a new shift."""
        self.solved.add(record.name)
        old = call.matrix if scale is None else call.matrix * scale[:, None]
        count = len(self._fitted(record, inputs))
        fitted = inputs[:count], target[:count]
        unsolved = old, shift_of(*fitted, old, call.groups) if record.shifts else target.new_zeros(len(old))
        if call.order in self._left:
            return unsolved
        solved = solve(
            *fitted,
            old,
            ridge=self._settings.ridge,
            per_input=self._settings.per_input,
            groups=call.groups,
            centred=record.shifts,
            images=self._fit,
        )
        if self._notes and is_worse(inputs[count:], target[count:], call.groups, solved, unsolved):
            self.worse.add(call.order)
        return solved

    def _fitted(self, record: LayerRecord, rows: Tensor) -> Tensor:
        """Return the rows of the fitted images; rows are in the order of the images."""
        return rows[: round(record.ends[len(self._fitted_parts) - 1] * self._share)]

    def _norm(self, arguments: dict[str, Any], call: LayerCall | None) -> Tensor:
        value: Tensor = arguments["input"]
        event = ("norm", self._norms)
        self._norms += 1
        if call is not None and call.order in self.deferred:
            return value
        mean, variance = arguments["running_mean"], arguments["running_var"]
        if mean is not None and variance is not None and not self._shares(mean, variance):
            record = self._record(call) if call is not None and call.norm is not None else None
            spread = record is None or self._settings.new_variance
            if call is not None and record is not None and call.order in self._means:
                found = call.mean_output(self._means.pop(call.order))
            else:
                others = self._read({event: lambda rows, part: Statistics.of(rows, spread)}, event)[event]
                own = Statistics.of(value[: round(len(value) * self._share)], spread)
                seen = Statistics.merged([own, *others[: len(self._fitted_parts) - 1]])
                found = seen.mean
                if spread:
                    variance.copy_(seen.variance)
            if record is None:
                mean.copy_(found)
            else:
                mean += found - self._fitted(record, self._kept_rows(record, record.target)).mean(0)
        return normalise(value, arguments)

    def _addition(self, number: int, branch: Tensor, other: Tensor, call: LayerCall) -> None:
        record = self._record(call)
        self.deferred.discard(call.order)
        if record is None or call.order not in self._inputs or record.branch_target is None:
            return
        if record.branch_target[0] != number:
            del self._inputs[call.order]
            return
        with self._algebra():
            self._solve_for_stream(number, other, call, record, record.branch_target[1])
        branch.copy_(call.run())

    def _solve_for_stream(
        self, number: int, other: Tensor, call: LayerCall, record: LayerRecord, stream: Tensor
    ) -> None:
        """Solve a layer for what the dense stream has more than the other operand of an addition."""
        layer, addition = ("layer", call.order), ("addition", number)
        found = self._read({layer: _inputs_of(record), addition: _operand_of(record)}, addition)
        inputs = torch.cat([self._inputs.pop(call.order), *(rows for rows, _ in found[layer])])
        operand = torch.cat([_operand_of(record)(other, call, self._part), *found[addition]])
        target = self._kept_rows(record, stream) - operand
        scale = call.factor
        usable = scale.abs() > 1e-3 * scale.abs().max()
        safe = torch.where(usable, scale, 1.0)
        solved, shift = self._solve(call, record, inputs, target, safe)
        call.assign(torch.where(usable[:, None], solved / safe[:, None], call.matrix))
        if call.norm is not None:
            offset = call.norm["bias"] if call.norm["bias"] is not None else 0.0
            mean = (offset - shift) / safe + (0.0 if call.bias is None else call.bias)
            call.norm["running_mean"][usable] = mean[usable]
        elif call.bias is not None:
            call.bias[usable] = (shift / safe)[usable]


def _inputs_of(record: LayerRecord, means: bool = False) -> Read:
    """Read sampled inputs, and the means of all inputs, from which the mean of the outputs follows."""
    return lambda call, part: (sampled_inputs(call, record.samples, part), mean_inputs(call) if means else None)


def _operand_of(record: LayerRecord) -> Read:
    return lambda other, call, part: sampled_outputs(other, call, record.samples, part)


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
