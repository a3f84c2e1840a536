"""Try a narrower network before any plan relies on it: sizes that the user's Python code states.

Labels say which channels go together; they cannot see a size that the code states itself, such as
`x.view(n, self.num_heads, -1)` or `view(-1, 512)`. So a probe, narrower in every group, is run. Where it fails, an
attribute of the module that fails is looked for that states a size the plan changes; it is *bound* to that size if the
network then gets further. Where there is none, the groups that the module touches are tried one by one and those that
fail are frozen, with the line of the user's code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gnnrl.network.labels import Component
from gnnrl.network.reasons import Kind, Reason
from gnnrl.network.structure import Binding, Network
from gnnrl.network.surgery import stated_sizes
from gnnrl.network.tracing.calls import unfollowed
from gnnrl.network.tracing.probe import Failure, Probe, Rehearsal

_ROUNDS = 200


@dataclass(slots=True)
class Trial:
    """What trials of a network found: bindings that it needs and groups that must stay whole, with the reason."""

    bindings: list[Binding] = field(default_factory=list)
    frozen: dict[int, Reason] = field(default_factory=dict)


def try_out(rehearsal: Rehearsal, network: Network) -> Trial:
    """Run narrower copies of a model until one runs through with outputs of the dense shapes.

    Once groups are frozen, probes on fake tensors are enough: what is left is tried out again as another network.

    Args:
        rehearsal: of the model, in evaluation mode; it is not changed.
        network: what its labels say.
    """
    if not network.groups:
        return Trial()
    attempt = Probe(rehearsal, network)
    found = Trial(frozen=unfollowed(network, rehearsal.calls))
    if found.frozen:
        return found
    if attempt.run([group.index for group in network.groups], ()) is None:
        return found
    attempt.with_data = False
    for _ in range(_ROUNDS):
        everything = [group.index for group in network.groups if group.index not in found.frozen]
        failure = attempt.run(everything, found.bindings)
        if failure is None and (attempt.with_data or found.frozen):
            return found
        if failure is None:
            attempt.with_data = True
        elif not _bind(attempt, found, everything, failure):
            _settle(attempt, found, everything, failure)
    return found


def _bind(attempt: Probe, found: Trial, narrowed: Sequence[int], failure: Failure) -> bool:
    """Bind an attribute of a failing module, and its like in modules of the same class, if the probe gets further."""
    for name in reversed(failure.modules):
        read = failure.read.get(name, frozenset())
        candidates = [binding for binding in _candidates(attempt, name, found.bindings) if binding.attribute in read]
        for binding in candidates:
            alike = _alike(attempt, binding, found.bindings)
            for chosen in ([binding, *alike], [binding]) if alike else ([binding],):
                result = attempt.run(narrowed, [*found.bindings, *chosen])
                if result is None or result.progress > failure.progress:
                    found.bindings += chosen
                    return True
    return False


def _candidates(attempt: Probe, name: str, bound: Sequence[Binding]) -> list[Binding]:
    """Attributes of a module that state a size which a plan changes, each with every owner that has this size."""
    taken = {(binding.module, binding.attribute, binding.position) for binding in bound}
    sizes: dict[int, list[Component]] = {}
    for axis in attempt.axes.get(name, ()):
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
    """The same attribute of other modules of the same class, where it has exactly one possible owner."""
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


def _settle(attempt: Probe, found: Trial, narrowed: Sequence[int], failure: Failure) -> None:
    """Narrow one group at a time: bind what a group needs alone, or freeze those that fail alone.

    A cut into parts states several sizes at once (`split(x, [self.a, self.b])`); alone, each needs one of them. Where
    no group fails alone, all that the failing module touches are frozen.
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
    if len(found.bindings) == bound:
        _freeze(attempt, found, alone or [(group, failure) for group in near])


def _culprits(attempt: Probe, found: Trial, groups: Sequence[int]) -> list[tuple[int, Failure]]:
    """Groups that fail alone, by halves: a head for training may read what any group makes."""
    result = attempt.run(groups, found.bindings) if groups else None
    if result is None:
        return []
    if len(groups) == 1:
        return [(groups[0], result)]
    half = len(groups) // 2
    return [*_culprits(attempt, found, groups[:half]), *_culprits(attempt, found, groups[half:])]


def _freeze(attempt: Probe, found: Trial, failing: Sequence[tuple[int, Failure]]) -> None:
    """Freeze groups, and their like in modules of the same class, which would fail in the same way."""
    for group, result in failing:
        module = result.modules[-1] if result.modules else ""
        kind = Kind.TRAINING_ONLY if result.in_training else Kind.STATED_SIZE
        for other, name in [(group, module), *_groups_alike(attempt, group, module)]:
            found.frozen.setdefault(other, Reason(kind, result.operation, name, result.location, result.message))


def _groups_alike(attempt: Probe, group: int, module: str) -> list[tuple[int, str]]:
    """Groups that live where this one lives, in other modules of the same class."""
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
    """Groups that the failing module touches, innermost module first; all of them where none does."""
    offsets = attempt.network.offsets
    for name in reversed(failure.modules):
        units = np.unique(np.concatenate([[0], *(axis.owner for axis in attempt.axes.get(name, ()))]))
        groups = set((np.searchsorted(offsets, units[units > 0], side="right") - 1).tolist()) & set(narrowed)
        if groups:
            return sorted(groups)
    return list(narrowed)
