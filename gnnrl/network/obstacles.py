"""Roles of frozen groups: inputs or outputs of the network, or obstacles, which are lines of code that freeze them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gnnrl.network.reasons import Kind, Reason
from gnnrl.network.structure import Group, Network

Role = Literal["input", "output", "obstacle"]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason at one line of code, and all groups that it freezes.

    Attributes:
        kind: name of the reason's kind (`gnnrl.network.reasons`).
        reason: sentence of the reason, with the numbers of the first group.
        remedy: what the user can do about it.
        location: file:line of the code.
        modules: modules that run this line.
        macs_share: part of the network's MACs that compute the frozen channels.
        groups: names of the frozen groups.
    """

    kind: str
    reason: str
    remedy: str
    operation: str
    location: str
    modules: tuple[str, ...]
    macs_share: float
    groups: tuple[str, ...]


def role(group: Group) -> Role:
    """Return the role of a frozen group: "input" if it is only read, "output", or "obstacle".

    Channels of an output always stay, so further reasons do not make them an obstacle.
    """
    if any(reason.kind is Kind.OUTPUT for reason in group.reasons):
        return "output"
    return "input" if group.places and all(place.dim > 0 for place in group.places) else "obstacle"


def first_reason(group: Group) -> Reason:
    """Return the first reason of a group other than being an output."""
    return next((reason for reason in group.reasons if reason.kind is not Kind.OUTPUT), group.reasons[0])


def find_obstacles(network: Network) -> tuple[Obstacle, ...]:
    """Merge frozen groups with the same reason at the same line, and sort them by descending share of the MACs."""
    found: dict[tuple[Kind, str, str], list[tuple[Reason, Group]]] = {}
    for group in network.frozen:
        if role(group) == "obstacle":
            reason = first_reason(group)
            where = reason.location or _without_numbers(reason.detail)
            found.setdefault((reason.kind, reason.operation, where), []).append((reason, group))
    obstacles = [
        Obstacle(
            members[0][0].kind.value,
            members[0][0].text,
            members[0][0].remedy,
            members[0][0].operation,
            members[0][0].location,
            tuple(dict.fromkeys(reason.module for reason, _ in members if reason.module)),
            sum(group.macs_share for _, group in members),
            tuple(group.name for _, group in members),
        )
        for members in found.values()
    ]
    return tuple(sorted(obstacles, key=lambda obstacle: -obstacle.macs_share))


def shorten(names: Sequence[str], noun: str = "layer") -> str:
    """Write names as patterns: `12 layers: encoder.layers.*.self_attention`."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_without_numbers(name), []).append(name)
    patterns = [_pattern(members) for members in alike.values()]
    return f"{len(names)} {noun}s: {', '.join(patterns)}" if len(names) > 1 else ", ".join(names)


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _pattern(names: Sequence[str]) -> str:
    """Return the common name, with `*` for each number that differs between the names."""
    numbers = list(zip(*(re.findall(r"\d+", name) for name in names), strict=True))
    chosen = iter(each[0] if len(set(each)) == 1 else "*" for each in numbers)
    return re.sub(r"\d+", lambda _: next(chosen), names[0])


def show_location(location: str, roots: Iterable[str]) -> str:
    """Write file:line relative to the first of some folders that contains it, or to site-packages."""
    for root in roots:
        if location.startswith(f"{root.rstrip('/')}/"):
            return location[len(root.rstrip("/")) + 1 :]
    return re.sub(r"^.*/(site|dist)-packages/", "", location)
