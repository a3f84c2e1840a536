"""A network in words: its size, what can shrink, and what stands in the way of the rest. Plain text, 80 columns."""

import os
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gnnrl.network.cost import Cost
from gnnrl.network.labels import Reason
from gnnrl.network.structure import Group, Network

_COLUMNS = 80
_NAME = 34
_OUTPUT = "is an output of the network"


@dataclass(frozen=True, slots=True)
class Shrinking:
    """A group that a plan decides about.

    Attributes:
        macs_share: part of the network's MACs that compute its channels.
        macs_per_channel: MACs that one channel costs in the dense network, those of its readers included.
        layers: modules that its channels live in.
    """

    name: str
    width: int
    macs_share: float
    macs_per_channel: int
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps channels from going: a reason, the line of code, and the modules that run it."""

    reason: str
    location: str
    modules: tuple[str, ...]
    macs_share: float
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """The facts about a network that a person asks for first.

    Attributes:
        smallest: what is left with one channel in every group.
        kept: layers that give the network's outputs.
    """

    name: str
    dense: Cost
    smallest: Cost
    shrinking: tuple[Shrinking, ...]
    obstacles: tuple[Obstacle, ...]
    kept: tuple[str, ...]

    @classmethod
    def of(cls, network: Network) -> "Description":
        """Collect them."""
        price = network.cost.price("macs", network.widths)
        return cls(
            network.model_class,
            network.cost.measure(network.widths),
            network.cost.measure(np.ones(len(network.groups), np.int64)),
            tuple(_shrinking(group, price[group.index]) for group in network.groups),
            _obstacles([group for group in network.frozen if not _trivial(group)]),
            tuple(group.name for group in network.frozen if _is_output(group)),
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON document."""
        return {**asdict(self), "frozen_macs_share": sum(obstacle.macs_share for obstacle in self.obstacles)}

    def __str__(self) -> str:
        dense = self.dense
        lines = [
            f"{self.name}: {dense.macs:,} MACs, {dense.params:,} parameters, {dense.bytes / 1e3:,.0f} kB",
            *self._shrinking_lines(),
            *self._obstacle_lines(),
        ]
        if self.kept:
            lines += ["", *_wrapped(f"Outputs keep their size: {', '.join(self.kept)}.", "")]
        return "\n".join(lines)

    def _shrinking_lines(self) -> list[str]:
        if not self.shrinking:
            return ["", "Nothing can shrink."]
        table = [
            f"{_short(row.name, _NAME):<{_NAME}} {row.width:>6,} {row.macs_share:>9.1%} {row.macs_per_channel:>15,}"
            f" {len(row.layers):>7}"
            for row in self.shrinking
        ]
        macs, params = (getattr(self.smallest, name) / getattr(self.dense, name) for name in ("macs", "params"))
        count = len(self.shrinking)
        return [
            "",
            f"{'Channels that can go':<{_NAME}} {'width':>6} {'of MACs':>9} {'MACs a channel':>15} {'layers':>7}",
            *table,
            "",
            *_wrapped(
                f"{f'These {count} groups' if count > 1 else 'This group'} at one channel each leave "
                f"{self.smallest.macs:,} MACs ({macs:.1%}) and {self.smallest.params:,} parameters ({params:.1%}): "
                "no limit can be below.",
                "",
            ),
        ]

    def _obstacle_lines(self) -> list[str]:
        lines = []
        for obstacle in self.obstacles:
            lines += _wrapped(f"{obstacle.macs_share:>6.1%} of MACs: {obstacle.reason}", " " * 8)
            places = [f"at {obstacle.location}"] if obstacle.location else []
            if obstacle.modules:
                places += _wrapped(f"in {', '.join(obstacle.modules)}", "   ", _COLUMNS - 8)
            lines += [" " * 8 + place for place in places]
            lines += _wrapped(f"        keeps {', '.join(obstacle.groups)} whole", " " * 14)
        return ["", "Frozen channels, and why:", *lines] if lines else []


def describe(network: Network) -> str:
    """Write a network down as a plain text of 80 columns: size, groups, what is frozen and why."""
    return str(Description.of(network))


def _shrinking(group: Group, price: float) -> Shrinking:
    layers = dict.fromkeys(place.tensor.rpartition(".")[0] for place in group.places)
    return Shrinking(group.name, group.size, group.macs_share, round(price), tuple(layers))


def _is_output(group: Group) -> bool:
    return any(reason.text == _OUTPUT for reason in group.reasons)


def _trivial(group: Group) -> bool:
    """Whether a group's channels are only read, as the network's input is, or are its outputs and nothing else."""
    if all(place.dim > 0 for place in group.places):
        return True
    return all(reason.text == _OUTPUT for reason in group.reasons)


def _obstacles(groups: Sequence[Group]) -> tuple[Obstacle, ...]:
    """Group frozen channels by what froze them first, the largest share of the MACs first."""
    found: dict[tuple[str, str], list[tuple[Reason, Group]]] = {}
    for group in groups:
        reason = next(reason for reason in group.reasons if reason.text != _OUTPUT)
        found.setdefault((reason.text, reason.location), []).append((reason, group))
    obstacles = [
        Obstacle(
            text,
            _shown_location(location),
            tuple(dict.fromkeys(reason.module for reason, _ in members if reason.module)),
            sum(group.macs_share for _, group in members),
            tuple(group.name for _, group in members),
        )
        for (text, location), members in found.items()
    ]
    return tuple(sorted(obstacles, key=lambda obstacle: -obstacle.macs_share))


def _shown_location(location: str) -> str:
    """Write a path below the current folder relative to it."""
    path, colon, line = location.rpartition(":")
    inside = colon and Path(path).is_relative_to(Path.cwd())
    return f"{os.path.relpath(path)}:{line}" if inside else location


def _short(name: str, width: int) -> str:
    return name if len(name) <= width else f"...{name[3 - width :]}"


def _wrapped(text: str, indent: str, width: int = _COLUMNS) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
