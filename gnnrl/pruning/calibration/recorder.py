"""Recorder of the layer calls of a dense network, on one part of the images after another."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.modules.parameters import Names
from gnnrl.pruning.calibration.layer_calls import LayerCall, norm_scale, normalise
from gnnrl.pruning.calibration.records import LayerRecord
from gnnrl.pruning.calibration.sampling import Part, Sampler, sampled_inputs, sampled_outputs
from gnnrl.pruning.calibration.sums import Products, Totals
from gnnrl.pruning.calibration.watch import Observer

_WIDEST = 6000


@dataclass(slots=True)
class _Draft:
    """The record of a layer call while it grows: its rows in each part of the images."""

    record: LayerRecord
    targets: list[Tensor] = field(default_factory=list)
    sums: list[Tensor] = field(default_factory=list)
    inputs: Products | None = None
    totals: dict[str, Totals] = field(default_factory=dict)
    energy: Callable[[], float] = lambda: 0.0

    def add(self, kind: str, rows: Tensor, *, centred: bool = False) -> Totals:
        """Add rows of a tensor that the outputs end in; the energy is that of the last such tensor."""
        totals = self.totals.setdefault(kind, Totals())
        totals.add(rows)
        self.energy = lambda: totals.energy(centred=centred)
        return totals


class Recorder:
    """Records the layer calls of a dense network.

    Args:
        moments: if True, also collect the covariance of the inputs of dense layers.
        fitted: number of images that are not held out, the first ones.

    Attributes:
        part: the images that go through the network now.
    """

    def __init__(self, model: nn.Module, sampler: Sampler, moments: bool, fitted: int) -> None:
        self.observer = Observer(self._layer, self._norm, self._addition)
        self._names = Names(model)
        self._tensors = {id(value): name for name, value in (*model.named_parameters(), *model.named_buffers())}
        self._drafts: dict[int, _Draft] = {}
        self._branches: dict[int, LayerCall] = {}
        self._sampler, self._moments, self._fitted = sampler, moments, fitted
        self.part = Part(0, 0, 0)

    def finish(self, parts: int) -> dict[int, LayerRecord]:
        """Return the records of the calls that occurred in all parts."""
        for order, call in self._branches.items():
            self._drafts[order].record.deferrable = call.reads == 1
        return {order: _finished(draft) for order, draft in self._drafts.items() if len(draft.targets) == parts}

    def _layer(self, call: LayerCall) -> Tensor:
        output = call.run()
        found = self._names.find(call.parameter)
        if found is None:
            return output
        draft = self._drafts.get(call.order)
        if draft is None:
            draft = self._drafts[call.order] = self._draft(call, output, *found)
        record = draft.record
        if record.name != found[0]:
            return output
        target = sampled_outputs(output, call, record.samples, self.part)
        draft.targets.append(target)
        draft.add("layer", target)
        if draft.inputs is not None:
            self._see_inputs(record, draft.inputs, sampled_inputs(call, record.samples, self.part))
        if call.source is not None:
            self._normalised(call, output)
        return output

    def _draft(self, call: LayerCall, output: Tensor, name: str, first: int) -> _Draft:
        inputs = call.matrix.shape[1]
        count = output.shape[call.channel_dim]
        record = LayerRecord(
            name=name,
            first=first,
            rows=call.rows,
            samples=self._sampler.count(inputs, call.groups),
            target=output.new_empty(0, count),
            energy=0.0,
            scale=torch.ones(count, device=output.device),
            shifts=call.bias is not None,
            shapes=(call.input.shape, output.shape),
            bias=self._tensors.get(id(call.bias)),
            weight=None if call.normed is None else call.weight.clone(),
        )
        known = self._moments and call.groups == 1 and inputs <= _WIDEST
        return _Draft(record, inputs=Products() if known else None)

    def _see_inputs(self, record: LayerRecord, products: Products, rows: Tensor) -> None:
        """Add inputs to the moments; those of the fitted images come first."""
        start, stop = self.part.start, self.part.stop
        if stop <= self._fitted or start >= self._fitted:
            products.add(rows)
        else:
            count = round(len(rows) * (self._fitted - start) / (stop - start))
            products.add(rows[:count])
            record.fitted = products.moments()
            products.add(rows[count:])
        if stop == self._fitted:
            record.fitted = products.moments()

    def _normalised(self, call: LayerCall, output: Tensor) -> None:
        """Note the scale that a group or layer normalisation gives to the outputs of the layer before it."""
        source = self._source(call)
        if source is None:
            return
        samples = source.record.samples
        before, after = (sampled_outputs(x, call, samples, self.part) for x in (call.input, output))
        if before.shape[1] == source.record.target.shape[1]:
            wide = source.totals.setdefault("before", Totals())
            wide.add(before)
            spread = source.add("after", after, centred=True).deviation()
            source.record.scale = (spread / wide.deviation().clamp_min(1e-12)).to(before.dtype)

    def _source(self, call: LayerCall) -> _Draft | None:
        return self._drafts.get(call.source.order) if call.source is not None else None

    def _norm(self, arguments: dict[str, Any], call: LayerCall | None) -> Tensor:
        output = normalise(arguments["input"], arguments)
        draft = self._drafts.get(call.order) if call is not None and call.norm is not None else None
        if call is not None and draft is not None:
            record = draft.record
            record.scale, record.shifts = norm_scale(arguments), True
            record.centre = self._tensors.get(id(arguments["running_mean"]))
            draft.add("norm", sampled_outputs(output, call, record.samples, self.part), centred=True)
        return output

    def _addition(self, number: int, branch: Tensor, other: Tensor, call: LayerCall) -> None:
        draft = self._drafts.get(call.order)
        if draft is None:
            return
        total = sampled_outputs(branch + other, call, draft.record.samples, self.part)
        if draft.record.branch_target is None or self.part.start == 0:
            draft.record.branch_target = (number, total)
            draft.sums, draft.totals["sum"] = [], Totals()
            self._branches[call.order] = call
        if draft.record.branch_target[0] != number:
            return
        draft.sums.append(total)
        draft.add("sum", total)
        if call.scale is not None:
            draft.record.scale = call.scale.flatten()
        source = self._source(call)
        if source is not None:
            source.energy = draft.energy


def _finished(draft: _Draft) -> LayerRecord:
    record = draft.record
    record.target, record.energy = torch.cat(draft.targets), draft.energy()
    if record.branch_target is not None:
        whole = len(draft.sums) == len(draft.targets)
        record.branch_target = (record.branch_target[0], torch.cat(draft.sums)) if whole else None
    record.ends = tuple(accumulate(map(len, draft.targets)))
    draft.targets, draft.sums = [], []
    if draft.inputs is not None:
        record.moments = draft.inputs.moments()
    return record
