"""sweep(model, example_inputs, constraints, ...): accuracy against size, from one set of statistics.

The network is traced and calibrated once; error curves, importance, repair and the dense network's reward are shared.
Each limit has a search, and a small network, of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from gnnrl.compression.pipeline import compress
from gnnrl.compression.result import CompressionResult
from gnnrl.compression.study import Study
from gnnrl.errors import ConfigError
from gnnrl.network.cost import Constraint, name_limit

_PREPARING = (
    "calibration",
    "importance",
    "repair",
    "rules",
    "network",
    "calibration_images",
    "seed",
    "device",
    "ledger",
)
_COUNTED = ("macs", "params", "bytes", "activations")


def sweep(
    model: nn.Module,
    example_inputs: Any,
    constraints: Sequence[str],
    *,
    on_limit: Callable[[str], None] | None = None,
    on_result: Callable[[CompressionResult], None] | None = None,
    **settings: Any,
) -> tuple[CompressionResult, ...]:
    """Compress one network to several limits.

    Args:
        constraints: such as ["macs<=70%", "macs<=50%", "macs<=30%"].
        on_limit: called with each limit before its search.
        on_result: called with each result as soon as it is there, to save it.
        settings: all others are those of `compress`, and the same for all limits.

    Returns:
        one result for each limit, in order.

    Raises:
        ConfigError: no limits, or one twice.
        UnreachableConstraint: a limit that cannot be met, before anything is searched.
        GnnrlError: see `compress`.
    """
    names = [name_limit(constraint) for constraint in constraints]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"a sweep needs limits, each of them once; got {', '.join(constraints) or 'none'}")
    study = prepare_all(model, example_inputs, constraints, **settings)
    results = []
    for constraint in constraints:
        if on_limit:
            on_limit(constraint)
        results.append(compress(model, example_inputs, constraint, study=study, **settings))
        if on_result:
            on_result(results[-1])
    return tuple(results)


def prepare_all(model: nn.Module, example_inputs: Any, constraints: Sequence[str], **settings: Any) -> Study:
    """What all searches of a sweep share; arguments and errors are those of `sweep`."""
    known = {name: settings[name] for name in _PREPARING if name in settings}
    for name, given in (("begin", "on_stage"), ("progress", "on_calibration")):
        if settings.get(given) is not None:
            known[name] = settings[given]
    study = Study.prepare(model, example_inputs, constraints[0], evaluate=settings["evaluate"], **known)
    for constraint in constraints[1:]:
        study = study.onto(constraint, settings.get("rules"), settings.get("ledger"))
    return study


def point(result: CompressionResult) -> dict[str, Any]:
    """One point of the curve as JSON values: the limit, the size as a share of the dense network, the scores.

    `size` is of the metric that is limited first; `shares` are of all metrics, of latency as measured, where limited.
    """
    constraint = str(result.settings["constraint"])
    metric = Constraint.parse(constraint)[0].metric
    dense, pruned = result.cost["dense"], result.cost["pruned"]
    shares = {name: getattr(pruned, name) / max(getattr(dense, name), 1) for name in _COUNTED}
    if result.latency is not None:
        shares["latency"] = result.latency.pruned_ms / result.latency.dense_ms
    return {
        "constraint": constraint,
        "metric": metric,
        "size": round(shares[metric], 4),
        "shares": {name: round(share, 4) for name, share in shares.items()},
        "macs": pruned.macs,
        "params": pruned.params,
        "reward": result.reward,
        "score": dict(result.score),
        "evaluations": len(result.history),
    }
