"""Descriptions of networks as plain text of 80 columns: costs, groups that can shrink, and obstacles for the others."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gnnrl.modules.layers import layer_of
from gnnrl.network.cost import Cost
from gnnrl.network.labels import Component
from gnnrl.network.obstacles import Obstacle, Role, find_obstacles, role, shorten, show_location
from gnnrl.network.structure import Group, Network

_COLUMNS = 80
_NAME = 30


@dataclass(frozen=True, slots=True)
class Shrinking:
    """A group that a plan decides about.

    Attributes:
        kind: "channels", "heads", "hidden" or "stream".
        narrowest, widest: widths that the rules allow.
        macs_share: part of the network's MACs that compute its channels.
        macs_per_channel: price of one channel in MACs of the dense network, its readers included.
        layers: modules with parameters for its channels.
    """

    name: str
    kind: str
    width: int
    narrowest: int
    widest: int
    macs_share: float
    macs_per_channel: int
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """One reason why a group is frozen: kind, sentence, operation, module, line and remedy."""

    kind: str
    text: str
    operation: str
    module: str
    location: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen group with all reasons. The roles "input" and "output" are those of the network."""

    name: str
    role: Role
    width: int
    macs_share: float
    reasons: tuple[Why, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """The facts about a network that a person asks for first.

    Attributes:
        smallest: costs with every group at its narrowest.
        frozen: all frozen groups.
        obstacles: lines of code that freeze groups, by reason.
        unrun: modules with parameters that no operation reads for the example inputs.
    """

    name: str
    dense: Cost
    smallest: Cost
    shrinking: tuple[Shrinking, ...]
    frozen: tuple[Frozen, ...]
    obstacles: tuple[Obstacle, ...]
    unrun: tuple[str, ...]

    @classmethod
    def of(cls, network: Network, ladders: Sequence[Component] | None = None) -> "Description":
        """Collect the facts about a network.

        Args:
            ladders: allowed widths of every group; by default all widths.
        """
        price = network.cost.price("macs", network.widths)
        ladders = [np.array([1, group.size]) for group in network.groups] if ladders is None else ladders
        rows = zip(network.groups, ladders, strict=True)
        return cls(
            network.model_class,
            network.cost.measure(network.widths),
            network.cost.measure(np.array([ladder[0] for ladder in ladders], np.int64)),
            tuple(_shrinking(group, ladder, price[group.index]) for group, ladder in rows),
            tuple(_frozen(group) for group in network.frozen),
            find_obstacles(network),
            network.unrun,
        )

    @property
    def frozen_macs_share(self) -> float:
        """Part of the MACs that compute channels which obstacles freeze."""
        return sum(obstacle.macs_share for obstacle in self.obstacles)

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as a JSON document."""
        return {**asdict(self), "frozen_macs_share": self.frozen_macs_share}

    def __str__(self) -> str:
        dense = self.dense
        lines = [
            f"{self.name}: {dense.macs:,} MACs, {dense.params:,} parameters, {dense.bytes / 1e3:,.0f} kB",
            *self._shrinking_lines(),
            *self._obstacle_lines(),
            *self._end_lines(),
            *self._unrun_lines(),
        ]
        return "\n".join(lines)

    def _shrinking_lines(self) -> list[str]:
        if not self.shrinking:
            return ["", "Nothing can shrink."]
        table = [
            f"{_short(row.name, _NAME):<{_NAME}} {row.kind:<8} {row.width:>6,} {_allowed(row):>8}"
            f" {row.macs_share:>7.1%} {row.macs_per_channel:>15,}"
            for row in self.shrinking
        ]
        macs, params, stored = (
            getattr(self.smallest, name) / getattr(self.dense, name) for name in ("macs", "params", "bytes")
        )
        count = len(self.shrinking)
        return [
            "",
            f"{'Groups that can shrink':<{_NAME}} kind      width  allowed    MACs  MACs a channel",
            *table,
            "",
            *_wrapped(
                f"{f'These {count} groups' if count > 1 else 'This group'} at the narrowest leave "
                f"{self.smallest.macs:,} MACs ({macs:.1%}), {self.smallest.params:,} parameters ({params:.1%}) and "
                f"{stored:.1%} of the bytes: no limit can be lower.",
                "",
            ),
        ]

    def _obstacle_lines(self) -> list[str]:
        if not self.obstacles:
            return []
        lines = ["", f"Frozen by code ({self.frozen_macs_share:.1%} of the MACs):"]
        for obstacle in self.obstacles:
            said = [f"{obstacle.macs_share:>6.1%}  {obstacle.reason}"]
            said += [f"        at {show_location(obstacle.location, [str(Path.cwd())])}"] if obstacle.location else []
            said += [f"        in {shorten(obstacle.modules, 'module')}"] if obstacle.modules else []
            copied = ", in a copy of this code" if "-packages/" in obstacle.location else ""
            said += [f"        keeps {shorten(obstacle.groups, 'group')}", f"        To do{copied}: {obstacle.remedy}."]
            lines += [line for text in said for line in _wrapped(text, " " * 11)]
        return lines

    def _end_lines(self) -> list[str]:
        """Name the layers of the outputs. Frozen inputs are not worth a line."""
        ends = [group for group in self.frozen if group.role == "output"]
        share = sum(group.macs_share for group in ends)
        named = shorten([group.name for group in ends])
        return (
            ["", *_wrapped(f"Outputs of the network keep their size ({share:.1%} of the MACs): {named}.", "")]
            if ends
            else []
        )

    def _unrun_lines(self) -> list[str]:
        """Name the modules that keep their widths because the inputs do not run them."""
        sentence = f"Not run by these inputs, left unchanged: {shorten(self.unrun, 'module')}."
        return ["", *_wrapped(sentence, "")] if self.unrun else []


def describe(network: Network) -> str:
    """Describe a network as plain text of 80 columns: costs, groups, and reasons of frozen groups."""
    return str(Description.of(network))


def _shrinking(group: Group, ladder: Component, price: float) -> Shrinking:
    layers = dict.fromkeys(layer_of(place.tensor) for place in group.places)
    low, high = int(ladder[0]), int(ladder[-1])
    return Shrinking(group.name, group.kind, group.size, low, high, group.macs_share, round(price), tuple(layers))


def _frozen(group: Group) -> Frozen:
    reasons = tuple(
        Why(reason.kind.value, reason.text, reason.operation, reason.module, reason.location, reason.remedy)
        for reason in group.reasons
    )
    return Frozen(group.name, role(group), group.size, group.macs_share, reasons)


def _allowed(row: Shrinking) -> str:
    if row.narrowest == row.widest:
        return "whole" if row.widest == row.width else f"{row.widest}"
    return f"{row.narrowest}-{row.widest}"


def _short(name: str, width: int) -> str:
    return name if len(name) <= width else f"...{name[3 - width :]}"


def _wrapped(text: str, indent: str) -> list[str]:
    """Wrap a text to 80 columns. Its first line may start with blanks."""
    return textwrap.wrap(
        text, _COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
