"""prune(model, example_inputs, plan): trace, remove, verify, and repair if there are data for it."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from gnnrl.errors import ConfigError
from gnnrl.modules.copies import copy_network
from gnnrl.modules.guarding import own_errors
from gnnrl.modules.modes import outside_inference
from gnnrl.modules.outputs import Outputs, Places, mark
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.admission import check_weights
from gnnrl.network.tracing.tracer import trace, unwrapped
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.held_out import step_back
from gnnrl.pruning.importance import importance
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.reconstruction import find_repair, repair
from gnnrl.pruning.verification import verify


@own_errors("pruning the network")
def prune(
    model: nn.Module,
    example_inputs: Any,
    plan: Plan,
    *,
    network: Network | None = None,
    outputs: Outputs | None = None,
    criterion: str = "l2",
    calibration: Iterable[Any] | None = None,
    repair_by: str = "ls",
) -> nn.Module:
    """Remove the units that a plan does not keep from a copy of the model, and repair it.

    Args:
        plan: widths; if it does not name the kept units, those with the highest scores stay.
        network: the result of `trace` for this model, to save tracing it again.
        outputs: outputs that must keep their shapes and meaning, see `trace`; not together with `network`.
        criterion: importance criterion for a plan without kept units.
        calibration: batches for the repair, labelled ones for the criterion taylor; without them nothing is repaired.
        repair_by: "ls", "bn" or "none".

    Returns:
        A new module of the same class, verified against the plan.

    Raises:
        ArtifactError: the plan is for another network.
        TraceError: the network cannot be analysed, or has no weights.
        ConfigError: there is no such repair, it would do nothing to this network, or there is no such output.
        VerificationError: the result differs from the plan.
    """
    model = unwrapped(model)
    check_weights(model, network)
    settings = find_repair(repair_by, model)
    if network is not None and outputs is not None:
        raise ConfigError("network= was traced with its own outputs: give outputs= to gnnrl.trace instead")
    network = network or trace(model, example_inputs, outputs=outputs)
    plan.check(network)
    if network.outputs is not None:
        model = copy_network(model)
        mark(model, Places(network.outputs))
    with outside_inference():
        record = None
        if calibration is not None and (settings is not None or criterion == "taylor"):
            record = calibrate(model, calibration, moments=False, example_inputs=example_inputs)
        if plan.kept is None:
            batches = record.batches() if record is not None and criterion == "taylor" else None
            plan = plan.with_kept(importance(criterion, model, network, batches, feed=record.feed if record else None))
        assert plan.kept is not None
        small = remove(model, network, plan.kept)
        verify(model, small, network, plan.kept, example_inputs)
        if record is not None and settings is not None:
            step = step_back(small, network, plan.kept, record, settings)
            if not step.everything:
                repair(small, network, plan.kept, record, settings, left=step.layers)
    return small
