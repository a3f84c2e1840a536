"""Explanations of limits that cannot be met: rules prevent it, or frozen groups hold the rest."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np

from gnnrl.network.cost import Budget, Cost
from gnnrl.network.limits import show_amount
from gnnrl.network.obstacles import Obstacle, find_obstacles, role, shorten, show_location
from gnnrl.network.structure import Network
from gnnrl.pruning.rules import WidthRules, show_bound

_MOST = 4
_LEAST_SHARE = 0.01


def explain_unreachable(network: Network, budget: Budget, rules: WidthRules) -> str:
    """Say which limit can be met, what prevents a lower one, and what to do."""
    floor = _floor(network, rules)
    parts = [
        f"{metric}<={show_amount(metric, limit)} cannot be met: with every group at its narrowest "
        f"{network.model_class} still has {show_amount(metric, getattr(floor, metric))} {metric}; "
        f"{_reachable(network, floor, metric)}"
        for metric, limit in budget.limits
        if getattr(floor, metric) > limit
    ]
    cause = _rules_at_fault(network, budget, rules) or _frozen_at_fault(network)
    return f"{'; '.join(parts)}. {cause}"


def explain_met(network: Network, budget: Budget) -> str:
    """Say that the dense network is within its limits."""
    dense = network.cost.measure(network.widths)
    parts = [
        f"{network.model_class} has {show_amount(metric, getattr(dense, metric))} {metric}, within "
        f"{metric}<={show_amount(metric, limit)}"
        for metric, limit in budget.limits
    ]
    return f"{'; '.join(parts)}: there is nothing to prune; give a lower limit, or a share such as macs<=50%"


def explain_nothing(network: Network) -> str:
    """Say why no channel of a network can be removed, and what to do."""
    obstacles = find_obstacles(network)
    if obstacles:
        listed = _listed([f"{_shown(obstacle)}: {obstacle.remedy}" for obstacle in obstacles])
        return f"{network.model_class} has nothing to prune: {listed}"
    outputs = [group.name for group in network.frozen if role(group) == "output"]
    what = f"{shorten(outputs)} gives its output" if outputs else "it has no layer with channels (convolution, linear)"
    return (
        f"{network.model_class} has nothing to prune: {what}; a layer can shrink where another one reads its channels"
    )


def _floor(network: Network, rules: WidthRules) -> Cost:
    return network.cost.measure(np.array([ladder[0] for ladder in rules.ladders(network)]))


def _reachable(network: Network, floor: Cost, metric: str) -> str:
    """Name the smallest share that this cost is within, in per cent with two digits, rounded up."""
    share = ceil(1e4 * getattr(floor, metric) / network.cost.whole(metric, network.widths)) / 100
    if share >= 100:
        return f"nothing may be removed that lowers {metric}"
    return f"the smallest limit that can be met is {metric}<={share:.6g}%"


def _rules_at_fault(network: Network, budget: Budget, rules: WidthRules) -> str:
    """Name each rule without which the limit could be met, or all that matter together; nothing if none does."""
    without = dict(_relaxed(rules))
    alone = [name for name, other in without.items() if budget.holds(_floor(network, other))]
    if alone:
        which = "one of them" if len(alone) > 1 else "it"
        return f"What prevents it: {' or '.join(alone)}. Loosen {which}, or raise the limit."
    if not budget.holds(_floor(network, WidthRules(round_to=1))):
        return ""
    floor = _floor(network, rules)
    together = [name for name, other in without.items() if _floor(network, other) != floor] or list(without)
    return f"What prevents it, together: {', '.join(together)}. Loosen them, or raise the limit."


def _relaxed(rules: WidthRules) -> Iterator[tuple[str, WidthRules]]:
    """Yield each rule by name, and all rules without it."""
    for pattern in rules.keep:
        yield f"keep {pattern!r}", replace(rules, keep=tuple(other for other in rules.keep if other != pattern))
    for pattern, bound in rules.bounds.items():
        others = {name: other for name, other in rules.bounds.items() if name != pattern}
        yield f"bounds {pattern}={show_bound(bound)}", replace(rules, bounds=others)
    if rules.only:
        yield f"only {', '.join(rules.only)}", replace(rules, only=())
    if rules.min_width > 1:
        yield f"min_width {rules.min_width}", replace(rules, min_width=1)
    if rules.round_to != 1:
        yield f"round_to {rules.round_to}", replace(rules, round_to=1)


def _frozen_at_fault(network: Network) -> str:
    large = [obstacle for obstacle in find_obstacles(network) if obstacle.macs_share >= _LEAST_SHARE]
    if not large:
        outputs = [group for group in network.frozen if role(group) == "output"]
        share = sum(group.macs_share for group in outputs)
        if share < _LEAST_SHARE:
            return "No rule prevents it and nothing is frozen that could shrink: raise the limit."
        held = f"{share:.1%} of the MACs compute outputs of the network, which keep their size"
        return f"No rule prevents it. {held}: {shorten([group.name for group in outputs])}. Raise the limit."
    listed = _listed([_shown(obstacle) for obstacle in large])
    return f"Frozen groups hold the rest of the MACs: {listed}. Raise the limit, or change this code."


def _listed(reasons: Sequence[str]) -> str:
    more = len(reasons) - _MOST
    return "; ".join([*reasons[:_MOST], *([f"and {more} more reasons (gnnrl inspect)"] if more > 0 else [])])


def _shown(obstacle: Obstacle) -> str:
    at = f" at {show_location(obstacle.location, [str(Path.cwd())])}" if obstacle.location else ""
    return f"{obstacle.macs_share:.1%} in {shorten(obstacle.groups)} ({obstacle.reason}{at})"
