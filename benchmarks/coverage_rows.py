"""One row of the table by libraries: what happens to one network that people bring.

A network is traced, pruned to half of its MACs by l2, and to every group's minimum; both results are checked.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import gnnrl
from gnnrl.artifacts import bundle
from gnnrl.errors import GnnrlError, UnreachableConstraint, first_line
from gnnrl.modules.outputs import Outputs
from gnnrl.network.obstacles import find_obstacles, show_location
from gnnrl.network.structure import Network, Operation
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import as_arguments
from gnnrl.pruning.counting import run
from gnnrl.pruning.verification import mask, verify

Sample = Callable[[int, int, bool], Any]
TOLERANCE = 1e-4
_NORMALISING = ("layer_norm", "group_norm", "rms_norm")
_AVERAGING = ("mean", "var", "var_mean", "std", "std_mean")


@dataclass(frozen=True)
class Subject:
    """A network of a library, in evaluation mode.

    Attributes:
        sample: function of a seed, a batch size, and whether the inputs are to be longer or larger.
        longer: whether the network takes inputs of another length or size.
        outputs: outputs that count, see `gnnrl.trace`.
        prompt: tokens [1, n] if the network generates text.
        note: what was built, in the words of its configuration.
    """

    model: nn.Module
    sample: Sample
    longer: bool = True
    outputs: Outputs | None = None
    prompt: Mapping[str, Tensor] | None = None
    note: str = ""


@dataclass
class Row:
    """What was found, or - where the network does not do that without pruning either. `problems` is empty if all held.

    Attributes:
        floor: MACs with every group at its minimum, as a share of the dense network's.
        masked: largest difference from the masked network, of its largest output; groups of normalised channels are
            kept whole there.
        repair: error on unseen samples after the repair over the error before.
        seconds: CPU seconds of tracing and pruning, on one thread.
    """

    name: str
    note: str = ""
    macs: int = 0
    groups: int = 0
    sizes: str = "no"
    half: float | None = None
    floor: float | None = None
    masked: float | None = None
    batch: str = "no"
    longer: str = "no"
    backward: str = "no"
    repair: float | None = None
    saved: str = "no"
    generate: str = "-"
    seconds: float = 0.0
    cause: str = ""
    problems: tuple[str, ...] = ()


def check(name: str, build: Callable[[], Subject]) -> Row:
    """Check one network; an error of a step is a problem of the row, and the other steps go on."""
    row = Row(name)
    torch.manual_seed(0)
    subject = build()
    row.note = subject.note
    example, start = subject.sample(0, 2, False), process_time()
    network = _tried(row, "trace", lambda: gnnrl.trace(subject.model, example, outputs=subject.outputs))
    row.seconds = process_time() - start
    if network is None:
        return row
    _measure(row, network)
    plan = _tried(row, "50 %", lambda: _half(row, subject.model, network))
    if plan is not None:
        start = process_time()
        small = _tried(row, "prune", lambda: gnnrl.prune(subject.model, example, plan, network=network))
        row.seconds += process_time() - start
        if small is not None:
            row.sizes = "yes"
            _try_all(row, build, subject, network, plan, small)
    _tried(row, "floor", lambda: _check_floor(subject.model, example, network))
    row.masked = _tried(row, "masked", lambda: _masked(row, subject, network))
    return row


def _tried(row: Row, step: str, action: Callable[[], Any]) -> Any:
    """Return the result of a step; None if it fails, and the row then says how."""
    try:
        return action()
    except Exception as error:
        own = "" if isinstance(error, GnnrlError) else "raw "
        row.problems += (f"{step}: {own}{type(error).__name__}: {_public(first_line(error))[:400]}",)
        return None


def _public(text: str) -> str:
    """Return a text without the folders of this machine."""
    return text.replace(f"{Path(torch.__file__).parents[1]}/", "").replace(f"{Path(gnnrl.__file__).parents[1]}/", "")


def _measure(row: Row, network: Network) -> None:
    dense = network.cost.measure(network.widths).macs
    row.macs, row.groups = dense, len(network.groups)
    row.floor = network.cost.measure(np.ones_like(network.widths)).macs / max(dense, 1)
    obstacles = find_obstacles(network)
    if obstacles:
        largest = obstacles[0]
        row.cause = f"{largest.reason} ({show_location(largest.location, ())}, {largest.macs_share:.0%})"


def _half(row: Row, model: nn.Module, network: Network) -> Any:
    try:
        plan = gnnrl.Plan.ranked(network, "macs<=50%", gnnrl.importance("l2", model, network))
    except UnreachableConstraint:
        row.problems += ("50 %: out of reach",)
        plan = gnnrl.Plan.ranked(network, "macs<=90%", gnnrl.importance("l2", model, network))
    row.half = gnnrl.measure(network, plan).macs / row.macs
    return plan


def _try_all(
    row: Row, build: Callable[[], Subject], subject: Subject, network: Network, plan: Any, small: nn.Module
) -> None:
    row.batch = _other(row, "another batch", subject, small, subject.sample(1, 3, False))
    row.longer = _other(row, "another length", subject, small, subject.sample(1, 2, True)) if subject.longer else "-"
    row.backward = _tried(row, "backward", lambda: _backward(subject, small)) or "no"
    row.repair = _tried(row, "repair", lambda: _repair(row, subject, network, plan, small))
    row.saved = _tried(row, "save", lambda: _saved(build, subject, network, plan, small)) or "no"
    if subject.prompt is not None:
        row.generate = _tried(row, "generate", lambda: _generated(small, subject.prompt)) or "no"


def _other(row: Row, step: str, subject: Subject, small: nn.Module, inputs: Any) -> str:
    try:
        expected = [tuple(x.shape) for x in run(subject.model, inputs)]
    except Exception:
        return "-"
    found = _tried(row, step, lambda: [tuple(x.shape) for x in run(small, inputs)])
    if found is not None and len(found) == len(expected) and found[0] != expected[0] and subject.outputs is None:
        row.problems += (f"{step}: shapes {found} instead of {expected}",)
        return "no"
    return "no" if found is None else "yes"


def _backward(subject: Subject, small: nn.Module) -> str:
    for model in (subject.model, small):
        try:
            model.train()
            args, kwargs = as_arguments(subject.sample(2, 2, False))
            leaves = torch.utils._pytree.tree_leaves(model(*args, **kwargs))
            sums = [x.float().square().sum() for x in leaves if isinstance(x, Tensor) and x.requires_grad]
            sum(sums[1:], sums[0]).backward()
        except Exception:
            if model is subject.model:
                return "-"
            raise
        finally:
            model.eval().zero_grad(set_to_none=True)
    return "yes"


def _repair(row: Row, subject: Subject, network: Network, plan: Any, small: nn.Module) -> float:
    example, batches = subject.sample(0, 2, False), [subject.sample(10 + seed, 4, False) for seed in range(4)]
    repaired = gnnrl.prune(subject.model, example, plan, network=network, calibration=batches)
    before = after = 0.0
    for seed in range(2):
        unseen = subject.sample(100 + seed, 4, False)
        dense, *found = (network.counted(run(model, unseen)) for model in (subject.model, small, repaired))
        before, after = before + _error(found[0], dense), after + _error(found[1], dense)
    ratio = after / before if before else 1.0
    if not ratio <= 1.0:
        row.problems += (f"repair: the error on unseen samples becomes {ratio:.3f} times as large",)
    return ratio


def _error(outputs: list[Tensor], expected: list[Tensor]) -> float:
    pairs = [(a.double(), b.double()) for a, b in zip(outputs, expected, strict=True) if b.is_floating_point()]
    return float(sum((a - b)[b.isfinite()].square().sum() for a, b in pairs))


def _saved(build: Callable[[], Subject], subject: Subject, network: Network, plan: Any, small: nn.Module) -> str:
    example = subject.sample(0, 2, False)
    with tempfile.TemporaryDirectory() as folder:
        facts = {"attributes": network.stated(network.alive(plan.kept or ()))}
        target = bundle.save(Path(folder) / "out", small, plan, facts)
        torch.manual_seed(0)
        loaded = bundle.load(build().model, target)
    for a, b in zip(run(loaded, example), run(small, example), strict=True):
        if not torch.equal(a, b):
            raise AssertionError("the loaded network computes something else")
    return "yes"


def _generated(small: nn.Module, prompt: Mapping[str, Tensor] | None) -> str:
    generate: Any = small.generate
    settings = {"max_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
    with torch.no_grad():
        cached, plain = (generate(**(prompt or {}), use_cache=cache, **settings) for cache in (True, False))
    if not torch.equal(cached, plain):
        raise AssertionError("with a cache, other tokens are generated")
    return "yes"


def _check_floor(model: nn.Module, example: Any, network: Network) -> None:
    """Prune every group to one unit, and verify the result."""
    if network.groups:
        floor = gnnrl.Plan.of_widths(network, np.ones_like(network.widths))
        floor = floor.with_kept(gnnrl.importance("l2", model, network))
        verify(model, remove(model, network, floor.kept or ()), network, floor.kept or (), example)


def _normalised(network: Network, operation: Operation) -> list[Any]:
    """Return the units of each dimension over which an operation normalises or averages."""
    if not operation.inputs:
        return []
    source = network.operations[operation.inputs[0]]
    axes, rank = [axis for _, part in source.results for axis in part], len(source.shape)
    if operation.name in _AVERAGING:
        dims = operation.settings.get("dim")
        worked = range(rank) if dims in (None, []) else [dims] if isinstance(dims, int) else dims
        return [axis.owner for axis in axes if axis.dim in {dim % rank for dim in worked}]
    in_training = operation.name == "batch_norm" and operation.settings["training"]
    return [axis.owner for axis in axes] if in_training or operation.name in _NORMALISING else []


def _masked(row: Row, subject: Subject, network: Network) -> float | None:
    """Compare with the masked network where only groups lose units whose channels no normalisation reads."""
    whole = network.groups_along(owner for operation in network.operations for owner in _normalised(network, operation))
    widths = np.array([n if index in whole else max(n // 2, 1) for index, n in enumerate(network.widths)])
    if (widths == network.widths).all():
        return None
    plan = gnnrl.Plan.of_widths(network, widths).with_kept(gnnrl.importance("l2", subject.model, network))
    small, masked = (make(subject.model, network, plan.kept or ()) for make in (remove, mask))
    worst = 0.0
    for inputs in (subject.sample(0, 2, False), subject.sample(3, 3, False)):
        pairs = zip(network.counted(run(small, inputs)), network.counted(run(masked, inputs)), strict=True)
        for a, b in ((a.double(), b.double()) for a, b in pairs if a.is_floating_point() and a.numel()):
            here = b.isfinite() & a.isfinite()
            scale = float(b[here].abs().max().clamp_min(1e-12)) if here.any() else 1.0
            worst = max(worst, float((a - b)[here].abs().max()) / scale if here.any() else 0.0)
    if not worst <= TOLERANCE:
        row.problems += (f"masked: differs by {worst:.1e} of the largest output",)
    return worst
