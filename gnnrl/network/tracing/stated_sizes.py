"""Sizes that the user's Python code states, found with probes before any plan relies on the groups.

Labels cannot see a size that the code states itself, such as `x.view(n, self.num_heads, -1)` or `view(-1, 512)`. So a
probe is run that is narrower in every group. If it fails, the failing module is searched for an attribute that states a
size which the plan changes. The attribute is *bound* to that size if the probe then gets further. If there is no such
attribute, the groups that the module touches are tried one by one. Several that fail at one line may have sizes that
the code computes from one another (`C // self.heads`); they are tied, so that the line keeps its numbers. All others
that fail are frozen, and the reason names the line of the user's code.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gnnrl.network.labels import Component
from gnnrl.network.reasons import Kind, Reason
from gnnrl.network.structure import Binding, Network
from gnnrl.network.surgery import stated_sizes
from gnnrl.network.tracing.calls import unfollowed
from gnnrl.network.tracing.probe import Failure, Probe
from gnnrl.network.tracing.rehearsal import Rehearsal
from gnnrl.network.tracing.user_code import comparison

_ROUNDS = 200


@dataclass(slots=True)
class Findings:
    """Results of the probes: bindings that the network needs, and groups that must be frozen, with reasons.

    Attributes:
        tied: pairs of groups whose units must be kept together: a block of equally many units of the first group with
            each unit of the second one.
    """

    bindings: list[Binding] = field(default_factory=list)
    frozen: dict[int, Reason] = field(default_factory=dict)
    tied: list[tuple[int, int]] = field(default_factory=list)


def try_out(rehearsal: Rehearsal, network: Network, stop: Callable[[Sequence[str]], None] = lambda _: None) -> Findings:
    """Run narrower copies of a model until one runs to the end with outputs of the dense shapes.

    Once groups are frozen, probes on fake tensors suffice, because the network is labelled and tried again.

    Args:
        rehearsal: run of the model in evaluation mode; it is not changed.
        network: the labelled network.
        stop: a function that is called before each probe with the modules that fail, and may raise an error.
    """
    if not network.groups:
        return Findings()
    attempt = Probe(rehearsal, network, stop)
    found = Findings(frozen=unfollowed(network, rehearsal.calls))
    if found.frozen:
        return found
    if attempt.run([group.index for group in network.groups], ()) is not None:
        _search(attempt, found)
    if not found.frozen and not found.tied:
        _compare(attempt, found)
    return found


def _search(attempt: Probe, found: Findings) -> None:
    """Bind attributes and freeze groups until a probe runs to the end."""
    rehearsal, network = attempt.rehearsal, attempt.network
    fakes = rehearsal.fake_calls
    if fakes is None or fakes.shapes != rehearsal.calls.shapes:
        rehearsal.run()
    attempt.with_data = fakes is None
    for _ in range(_ROUNDS):
        everything = [group.index for group in network.groups if group.index not in found.frozen]
        if not everything or found.tied:
            break
        failure = attempt.run(everything, found.bindings)
        if failure is None and (attempt.with_data or found.frozen):
            break
        if failure is None:
            attempt.with_data = True
        elif not _bind(attempt, found, everything, failure):
            _settle(attempt, found, everything, failure)


def _compare(attempt: Probe, found: Findings) -> None:
    """Freeze a group if the code takes another path where two groups are equally wide (`if x.shape != y.shape`)."""
    module, location = comparison(attempt.model)
    sizes = attempt.network.widths.tolist()
    groups = sorted(range(len(sizes)), key=sizes.__getitem__)
    if not location or attempt.run_equal(groups, found.bindings):
        return
    # Find the fewest groups, from narrow to wide, that fail. The last one is compared with a narrower one, which can
    # never be as wide as the last one in the dense network.
    count = bisect_left(
        range(len(groups) + 1), True, key=lambda count: not attempt.run_equal(groups[:count], found.bindings)
    )
    if count:
        found.frozen[groups[count - 1]] = Reason(Kind.COMPARED_SIZE, "", module, location)


def _bind(attempt: Probe, found: Findings, narrowed: Sequence[int], failure: Failure) -> bool:
    """Bind an attribute of a failing module, and the same one in modules of its class, if the probe gets further.

    The code may also read attributes of modules directly inside it (`self.block.hidden_size`).
    """
    for name in reversed(failure.modules):
        read = failure.read.get(name, frozenset())
        inside = [child for child, _ in attempt.model.get_submodule(name).named_children() if child in read]
        candidates = [
            binding
            for home in (name, *(f"{name}.{child}".lstrip(".") for child in inside))
            for binding in _candidates(attempt, home, found.bindings, near=name)
            if binding.attribute in read
        ]
        for binding in candidates:
            alike = _alike(attempt, binding, found.bindings)
            for chosen in ([binding, *alike], [binding]) if alike else ([binding],):
                bound = [*found.bindings, *chosen]
                if _is_further(attempt.run(narrowed, bound), failure) and all(
                    _is_further(attempt.run(groups, bound, variant), attempt.run(groups, found.bindings, variant))
                    for groups, variant in _doubts(attempt, binding, candidates, narrowed)
                ):
                    found.bindings += chosen
                    return True
    return False


def _is_further(now: Failure | None, before: Failure | None) -> bool:
    return now is None or (before is not None and now.progress > before.progress)


def _doubts(
    attempt: Probe, binding: Binding, candidates: Sequence[Binding], narrowed: Sequence[int]
) -> list[tuple[Sequence[int], int]]:
    """Return the probes (groups, variant) that tell a binding from those to other owners of the same size.

    Two owners may keep equally many units by chance, those of a few units in every variant. So the groups of this owner
    are narrowed alone, too: the attribute must follow them, and not those of another owner.
    """
    place = binding.attribute, binding.position
    others = [other.owner for other in candidates if (other.attribute, other.position) == place]
    if len(others) < 2:
        return []
    along = attempt.network.groups_along
    alone = along([binding.owner]) - along(owner for owner in others if not np.array_equal(owner, binding.owner))
    return [(narrowed, 1), *([(sorted(alone & set(narrowed)), 0)] if alone & set(narrowed) else [])]


def _candidates(attempt: Probe, name: str, bound: Sequence[Binding], near: str | None = None) -> list[Binding]:
    """Return attributes of a module that state a size which a plan changes, each with every owner of this size.

    Args:
        near: the module whose tensors may have this size; by default the same module.
    """
    taken = {(binding.module, binding.attribute, binding.position) for binding in bound}
    sizes: dict[int, list[Component]] = {}
    for axis in attempt.axes.get(name if near is None else near, ()):
        owners = sizes.setdefault(len(axis.owner), [])
        if not any(np.array_equal(axis.owner, owner) for owner in owners):
            owners.append(axis.owner)
    return [
        Binding(name, attribute, position, owner)
        for attribute, position, value in stated_sizes(attempt.model.get_submodule(name))
        if (name, attribute, position) not in taken
        for owner in sizes.get(value, ())
    ]


def _alike(attempt: Probe, binding: Binding, bound: Sequence[Binding]) -> list[Binding]:
    """Return the same attribute of other modules of the class if exactly one owner is possible."""
    kind = type(attempt.model.get_submodule(binding.module))
    found = []
    for name, module in attempt.model.named_modules():
        if type(module) is kind and name != binding.module:
            same = [
                candidate
                for candidate in _candidates(attempt, name, bound)
                if (candidate.attribute, candidate.position) == (binding.attribute, binding.position)
            ]
            if len(same) == 1:
                found.append(same[0])
    return found


def _settle(attempt: Probe, found: Findings, narrowed: Sequence[int], failure: Failure) -> None:
    """Narrow one group at a time: bind the attributes that a group needs alone, or freeze the groups that fail alone.

    A cut into parts states several sizes (`split(x, [self.a, self.b])`), of which a group alone needs only one. If no
    group fails alone, all groups that the failing module touches are frozen.
    """
    near = narrowed if failure.in_training else _groups_near(attempt, failure, narrowed)
    if failure.in_training:
        alone = _culprits(attempt, found, narrowed)
    else:
        alone = [(group, result) for group in near if (result := attempt.run([group], found.bindings)) is not None]
    bound = len(found.bindings)
    for group, _ in alone:
        if (now := attempt.run([group], found.bindings)) is not None:
            _bind(attempt, found, [group], now)
    if len(found.bindings) == bound and not _tie(attempt, found, alone):
        _freeze(attempt, found, alone or [(group, failure) for group in near])


def _tie(attempt: Probe, found: Findings, alone: Sequence[tuple[int, Failure]]) -> bool:
    """Tie groups that fail alone at one line, and those at the same places in modules of the same class.

    The size of each must be a multiple of the smallest one, as the width of a stream is of the number of heads.
    """
    sizes = attempt.network.widths
    lines: dict[tuple[tuple[str, ...], str], list[int]] = {}
    for group, result in alone:
        if not result.in_training:
            lines.setdefault((result.modules[-1:], result.location), []).append(group)
    for (modules, _), groups in lines.items():
        base = min(groups, key=lambda group: int(sizes[group]))
        for group in groups:
            alike = [{name: other for other, name in _groups_alike(attempt, each, *modules)} for each in (group, base)]
            pairs = {(group, base), *((alike[0][name], alike[1][name]) for name in alike[0].keys() & alike[1].keys())}
            found.tied += [(a, b) for a, b in sorted(pairs) if a != b and sizes[b] > 1 and sizes[a] % sizes[b] == 0]
    return bool(found.tied)


def _culprits(attempt: Probe, found: Findings, groups: Sequence[int]) -> list[tuple[int, Failure]]:
    """Find groups that fail alone by bisection, because a head for training may read any group."""
    result = attempt.run(groups, found.bindings) if groups else None
    if result is None:
        return []
    if len(groups) == 1:
        return [(groups[0], result)]
    half = len(groups) // 2
    return [*_culprits(attempt, found, groups[:half]), *_culprits(attempt, found, groups[half:])]


def _freeze(attempt: Probe, found: Findings, failing: Sequence[tuple[int, Failure]]) -> None:
    """Freeze groups, and those at the same place in modules of the same class, which would fail in the same way."""
    for group, result in failing:
        module = result.modules[-1] if result.modules else ""
        kind = Kind.TRAINING_ONLY if result.in_training else Kind.STATED_SIZE
        for other, name in [(group, module), *_groups_alike(attempt, group, module)]:
            found.frozen.setdefault(other, Reason(kind, result.operation, name, result.location, result.message))


def _groups_alike(attempt: Probe, group: int, module: str = "") -> list[tuple[int, str]]:
    """Return the groups at the same place in other modules of the same class."""
    inside = [place for place in attempt.network.groups[group].places if place.tensor.startswith(f"{module}.")]
    if not module or not inside:
        return []
    tensor, dim = inside[0].tensor.removeprefix(module), inside[0].dim
    homes = {(place.tensor, place.dim): other.index for other in attempt.network.groups for place in other.places}
    kind = type(attempt.model.get_submodule(module))
    found = []
    for name, other in attempt.model.named_modules():
        if type(other) is kind and (name + tensor, dim) in homes:
            found.append((homes[name + tensor, dim], name))
    return found


def _groups_near(attempt: Probe, failure: Failure, narrowed: Sequence[int]) -> list[int]:
    """Return the groups that the innermost failing module with groups touches, or all groups if there is none."""
    for name in reversed(failure.modules):
        owners = (axis.owner for axis in attempt.axes.get(name, ()))
        if groups := attempt.network.groups_along(owners) & set(narrowed):
            return sorted(groups)
    return list(narrowed)
