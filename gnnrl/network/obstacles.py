"""What keeps channels from going: the network's own inputs and outputs, or a line of code that stands in the way."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gnnrl.network.labels import Reason
from gnnrl.network.structure import Group, Network

Role = Literal["input", "output", "obstacle"]
OUTPUT = "is an output of the network"

_REMEDIES = (
    ("has no rule", "use another operation here, or give {operation} a rule (CONTRIBUTING.md: one function)"),
    ("states this size itself", "take the size from the tensor (x.shape[1]) or from an attribute of the module"),
    ("in training alone", "take that part out before pruning, or let these channels stay"),
    ("unequal, constant sizes", "cut into equal parts (chunk), or give each part a layer of its own"),
    ("pad inserts", "a convolution instead of the padding (a projection shortcut) sets these channels free"),
    ("positions", "cut by shares (chunk) instead of by positions"),
    ("is taken over these channels", "nothing: the operation needs all of its channels"),
    ("normalis", "normalise over channels alone (BatchNorm, LayerNorm of the last dimension)"),
    ("used in several ways", "give each use a parameter of its own"),
    ("scales by the square root", "state the scale as a constant of its own"),
    ("loses whole groups", "nothing: channels inside a group of a grouped layer belong together"),
    ("", "let the code follow the size of its input here, or accept that these channels stay"),
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why channels stay, at one line, and all that it keeps.

    Attributes:
        reason: what stands in the way; numbers are those of the first of the groups.
        remedy: what the user can do about it.
        location: file:line of the code.
        modules: modules that run this line.
        macs_share: part of the network's MACs that compute the channels that stay.
        groups: names of the frozen groups.
    """

    reason: str
    remedy: str
    operation: str
    location: str
    modules: tuple[str, ...]
    macs_share: float
    groups: tuple[str, ...]


def role(group: Group) -> Role:
    """Tell frozen channels apart: only read (the network's input, or what an obstacle fixed), output, or neither."""
    if all(reason.text == OUTPUT for reason in group.reasons):
        return "output"
    return "input" if all(place.dim > 0 for place in group.places) else "obstacle"


def first_reason(group: Group) -> Reason:
    """What froze a group first, apart from being an output."""
    return next((reason for reason in group.reasons if reason.text != OUTPUT), group.reasons[0])


def find_obstacles(network: Network) -> tuple[Obstacle, ...]:
    """Merge frozen groups with one reason at one line, the largest share of the MACs first."""
    found: dict[tuple[str, str], list[tuple[Reason, Group]]] = {}
    for group in network.frozen:
        if role(group) == "obstacle":
            reason = first_reason(group)
            found.setdefault((re.sub(r"\d+", "#", reason.text), reason.location), []).append((reason, group))
    obstacles = [
        Obstacle(
            members[0][0].text,
            remedy(members[0][0]),
            members[0][0].operation,
            members[0][0].location,
            tuple(dict.fromkeys(reason.module for reason, _ in members if reason.module)),
            sum(group.macs_share for _, group in members),
            tuple(group.name for _, group in members),
        )
        for members in found.values()
    ]
    return tuple(sorted(obstacles, key=lambda obstacle: -obstacle.macs_share))


def remedy(reason: Reason) -> str:
    """What a user can do about frozen channels."""
    advice = next(advice for phrase, advice in _REMEDIES if phrase in reason.text)
    return advice.format(operation=reason.operation or "it")


def shorten(names: Sequence[str], noun: str = "layer") -> str:
    """Write many names as few patterns: `12 layers: encoder.layers.*.self_attention`."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    patterns = [_pattern(members) for members in alike.values()]
    return f"{len(names)} {noun}s: {', '.join(patterns)}" if len(names) > 1 else ", ".join(names)


def _pattern(names: Sequence[str]) -> str:
    """One name with `*` for each number that differs between the names."""
    numbers = list(zip(*(re.findall(r"\d+", name) for name in names), strict=True))
    chosen = iter(each[0] if len(set(each)) == 1 else "*" for each in numbers)
    return re.sub(r"\d+", lambda _: next(chosen), names[0])


def show_location(location: str, roots: Iterable[str]) -> str:
    """Write file:line relative to the first of some folders that it is in, and without the path to site-packages."""
    for root in roots:
        if location.startswith(f"{root.rstrip('/')}/"):
            return location[len(root.rstrip("/")) + 1 :]
    return re.sub(r"^.*/(site|dist)-packages/", "", location)
