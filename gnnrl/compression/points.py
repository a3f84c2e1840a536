"""Points of a sweep: accuracy against size, as JSON values."""

from typing import Any

from gnnrl.compression.result import CompressionResult
from gnnrl.network.cost import Constraint

_COUNTED = ("macs", "params", "bytes", "activations")


def point(result: CompressionResult) -> dict[str, Any]:
    """Return one point of the curve as JSON values: limit, size as a share of the dense network, and scores.

    `size` is the share of the metric that is limited first; `shares` has all metrics, and measured latency if limited.
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
        "kept": result.kept,
        "evaluations": len(result.history),
    }
