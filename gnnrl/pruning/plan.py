"""Plan: the width of every group, and the units that stay."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.network.cost import Budget
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from gnnrl.storage.formats import check_format
from gnnrl.views import show

Scores = Sequence[NDArray[np.float64]]
FORMAT = 1


class GroupDocument(TypedDict):
    """A group of a plan in JSON."""

    name: str
    width: int
    kept: list[int] | None


class PlanDocument(TypedDict):
    """A plan in JSON."""

    format: int
    fingerprint: str
    groups: list[GroupDocument]


@dataclass(frozen=True, slots=True)
class Plan:
    """The width of every group, and the units that stay.

    Attributes:
        fingerprint: the network that the plan is for.
        names: names of its groups.
        widths: number of units kept in each group.
        kept: indices of the kept units of each group, ascending; None leaves the choice to an importance criterion.
        sizes: number of units of each group in the dense network; None for a plan that was read from a file.
    """

    fingerprint: str
    names: tuple[str, ...]
    widths: tuple[int, ...]
    kept: tuple[tuple[int, ...], ...] | None = None
    sizes: tuple[int, ...] | None = field(default=None, compare=False)

    @classmethod
    def of_widths(cls, network: Network, widths: ArrayLike, orders: Sequence[ArrayLike] | None = None) -> "Plan":
        """Return the plan with these widths [G] that keeps the last units of each removal order.

        Raises:
            ConfigError: there is not one width for each group, or one is not between one and the group's size.
        """
        chosen = tuple(int(width) for width in np.asarray(widths))
        names = tuple(group.name for group in network.groups)
        if len(chosen) != len(names):
            raise ConfigError(f"the network has {len(names)} groups ({', '.join(names)}), got {len(chosen)} widths")
        for group, width in zip(network.groups, chosen, strict=True):
            if not 1 <= width <= group.size:
                raise ConfigError(f"width of {group.name} must be between 1 and {group.size}, got {width}")
        kept = None if orders is None else _last_units(orders, chosen)
        return cls(network.fingerprint, names, chosen, kept, tuple(group.size for group in network.groups))

    @classmethod
    def uniform(cls, network: Network, constraint: str | Budget, rules: WidthRules | None = None) -> "Plan":
        """Return the plan that gives every group the same keep ratio."""
        projection = Projection.build(network, constraint, rules)
        sizes = network.widths.astype(np.float64)
        return cls.of_widths(network, projection.of_family(lambda ratio: sizes * ratio, 0.0, 1.0))

    @classmethod
    def ranked(
        cls, network: Network, constraint: str | Budget, scores: Scores, rules: WidthRules | None = None
    ) -> "Plan":
        """Return the plan that removes the units with the lowest scores of the whole network first.

        Args:
            scores: importance of every unit, one array for each group, comparable between groups.
        """
        return cls.ranked_within(Projection.build(network, constraint, rules), scores)

    @classmethod
    def ranked_within(cls, projection: Projection, scores: Scores) -> "Plan":
        """Return the plan of `ranked` for a projection."""
        ranks = np.argsort(np.argsort(np.concatenate(scores), kind="stable"))
        parts = np.split(ranks, np.cumsum([len(score) for score in scores])[:-1])
        widths = projection.of_family(
            lambda share: np.array([float((part >= len(ranks) * (1 - share)).sum()) for part in parts]), 0.0, 1.0
        )
        return cls.of_widths(projection.network, widths, removal_orders(scores))

    def with_kept(self, scores: Scores) -> "Plan":
        """Return the same widths with the units of the highest scores kept; unchanged if the plan names its units."""
        if self.kept is not None:
            return self
        kept = _last_units(removal_orders(scores), self.widths)
        return replace(self, kept=kept)

    def _repr_html_(self) -> str | None:
        """Show the widths in a notebook."""
        return show("plan as HTML", self)

    def to_dict(self) -> PlanDocument:
        """Return a JSON document."""
        kept = [None] * len(self.names) if self.kept is None else [list(units) for units in self.kept]
        groups = [
            GroupDocument(name=name, width=width, kept=units)
            for name, width, units in zip(self.names, self.widths, kept, strict=True)
        ]
        return PlanDocument(format=FORMAT, fingerprint=self.fingerprint, groups=groups)

    @classmethod
    def from_dict(cls, document: Any) -> "Plan":
        """Read a document of `to_dict`.

        Raises:
            ArtifactError: the document is not a plan; the message names the entry.
        """
        try:
            check_format("the plan", document, FORMAT)
            groups = [_read_group(entry) for entry in document["groups"]]
            fingerprint = document["fingerprint"]
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"the plan is damaged: {type(error).__name__} {error}") from None
        if not isinstance(fingerprint, str):
            raise ArtifactError("the plan is damaged: its fingerprint is not text")
        names, widths, kept = zip(*groups, strict=True) if groups else ((), (), ())
        if len({units is None for units in kept}) > 1:
            raise ArtifactError("the plan is damaged: some groups name the units they keep and some do not")
        return cls(fingerprint, names, widths, None if None in kept or not kept else kept)

    def dumps(self) -> str:
        """Return the JSON text of the plan."""
        return json.dumps(self.to_dict(), indent=1)

    def check(self, network: Network) -> None:
        """Raise ArtifactError, which names the first groups that differ, if the plan is for another network."""
        names = tuple(group.name for group in network.groups)
        if self.names != names:
            differing = sorted(set(self.names) ^ set(names))[:5]
            raise ArtifactError(
                f"the plan is for another network than {network.model_class}: it has {len(self.names)} groups, the "
                f"network {len(names)}; differing: {', '.join(differing) or 'their order'}"
            )
        if self.fingerprint != network.fingerprint:
            raise ArtifactError(
                f"the plan is for another network than {network.model_class}: layers of the same names have other "
                "sizes or are connected in another way"
            )
        for index, group in enumerate(network.groups):
            kept = self.kept[index] if self.kept is not None else ()
            if not 1 <= self.widths[index] <= group.size or (kept and max(kept) >= group.size):
                raise ArtifactError(
                    f"the plan keeps {self.widths[index]} channels of {group.name} with the last at "
                    f"{max(kept, default=self.widths[index] - 1)}, but the group has {group.size}"
                )


def removal_orders(scores: Scores) -> list[Component]:
    """Return the units of each group from the least to the most important; equal scores by position."""
    return [np.argsort(np.asarray(score), kind="stable") for score in scores]


def _last_units(orders: Sequence[ArrayLike], widths: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the units that stay, ascending: the last of each removal order."""
    return tuple(
        tuple(np.sort(np.asarray(order, np.int64)[-width:]).tolist())
        for order, width in zip(orders, widths, strict=True)
    )


def _read_group(entry: Mapping[str, Any]) -> tuple[str, int, tuple[int, ...] | None]:
    name, width, kept = entry["name"], entry["width"], entry.get("kept")
    if not isinstance(name, str) or not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise ArtifactError(f"the plan is damaged: group {name!r} has width {width!r}")
    if kept is None:
        return name, width, None
    if not isinstance(kept, list) or any(not isinstance(unit, int) or isinstance(unit, bool) for unit in kept):
        raise ArtifactError(f"the plan is damaged: the kept units of {name} are not a list of integers")
    if kept != sorted(set(kept)) or len(kept) != width or kept[0] < 0:
        raise ArtifactError(
            f"the plan is damaged: the kept units of {name} must be {width} different, ascending, non-negative numbers"
        )
    return name, width, tuple(kept)
