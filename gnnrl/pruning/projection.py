"""Projection: from a policy's wishes to a plan that meets its limit exactly.

A policy gives one number z_g for each group. The widths are  w_g = n_g · σ(z_g + b)  with one shift b, which bisection
chooses so that the network of the *rounded* widths is within the limit. Then single channels are given back while they
fit. No plan misses its limit, so no penalty is needed (AMC's clamp, He et al. 2018, https://arxiv.org/abs/1802.03494,
for all groups at once).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from gnnrl.errors import ConfigError, NothingToPrune, UnreachableConstraint
from gnnrl.network.cost import Budget
from gnnrl.network.labels import Component
from gnnrl.network.limits import Constraint, show_amount
from gnnrl.network.structure import Network
from gnnrl.pruning.rules import WidthRules
from gnnrl.pruning.unreachable import explain_nothing, explain_unreachable

_STEPS = 60
_ROUNDING = 1e-9
LEAST_SLOPE = 0.1


@dataclass(frozen=True, slots=True)
class Projection:
    """Maps wishes onto widths within one budget for one network."""

    network: Network
    budget: Budget
    ladders: tuple[Component, ...]
    _table: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Store the ladders as one table [G, L], padded with infinity."""
        table = np.full((len(self.ladders), max((len(ladder) for ladder in self.ladders), default=0)), np.inf)
        for row, ladder in zip(table, self.ladders, strict=True):
            row[: len(ladder)] = ladder
        object.__setattr__(self, "_table", table)

    @classmethod
    def build(
        cls, network: Network, constraint: str | Sequence[Constraint] | Budget, rules: WidthRules | None = None
    ) -> "Projection":
        """Build the projection, and check that the limit can be met.

        Raises:
            NothingToPrune: the network has no group to decide about.
            UnreachableConstraint: the narrowest legal network is too large; the message says which limit can be met.
        """
        if not network.groups:
            raise NothingToPrune(explain_nothing(network))
        rules = rules or WidthRules()
        dense = network.cost.measure(network.widths)
        if dense.latency is not None:
            dense = replace(dense, latency=network.cost.whole("latency", network.widths))
        budget = Budget.of(constraint, dense)
        projection = cls(network, budget, tuple(rules.ladders(network)))
        if not projection.holds(projection.narrowest):
            raise UnreachableConstraint(explain_unreachable(network, budget, rules))
        return projection

    def step(self, widths: Component, budget: Budget) -> "Projection":
        """Return the projection of one step of an episode: no group grows beyond `widths`, and another budget."""
        ladders = tuple(ladder[ladder <= width] for ladder, width in zip(self.ladders, widths, strict=True))
        return Projection(self.network, budget, ladders)

    @property
    def narrowest(self) -> Component:
        """Smallest legal widths [G]."""
        return np.array([ladder[0] for ladder in self.ladders])

    @property
    def widest(self) -> Component:
        """Largest legal widths [G]."""
        return np.array([ladder[-1] for ladder in self.ladders])

    def holds(self, widths: Component) -> bool:
        """Return True if these widths are within the budget."""
        return bool(self.hold(widths))

    def hold(self, widths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each of many widths [..., G] whether they are within the budget."""
        cost = self.network.cost
        return np.asarray(np.all([cost.metric(name, widths) <= limit for name, limit in self.budget.limits], axis=0))

    def check(self, widths: ArrayLike) -> None:
        """Refuse widths that are not a plan within the rules and the limit.

        Raises:
            ConfigError: not one whole number for each group [G], a width that is not allowed, or beyond the limit.
        """
        try:
            found = np.asarray(widths, np.float64)
        except (TypeError, ValueError):
            found = np.empty(0)
        if found.shape != (len(self.ladders),):
            raise ConfigError(f"a plan is one width for each of the {len(self.ladders)} groups, got {widths!r}")
        for group, ladder, width in zip(self.network.groups, self.ladders, found, strict=True):
            if width not in ladder:
                raise ConfigError(f"{group.name} may have {_shown(ladder)} of its {group.size} channels, got {width:g}")
        chosen = found.astype(np.int64)
        if not self.holds(chosen):
            size = self.network.cost.measure(chosen)
            sizes = ", ".join(f"{name} {show_amount(name, getattr(size, name))}" for name, _ in self.budget.limits)
            raise ConfigError(
                f"a plan of {sizes} is beyond {self.budget}; `task.plan` and the methods of `task.projection` give "
                "plans at the limit"
            )

    def of_logits(self, logits: ArrayLike) -> Component:
        """Return widths for logits of keep ratios [G]: the nearest plan by one common shift."""
        z = np.clip(np.asarray(logits, np.float64), -30, 30)
        sizes = self.network.widths
        return self._of_shifts(
            logit(self._reached / sizes[:, None]) - z[:, None], lambda shift: sizes * expit(z + shift)
        )

    def around(self, prior: Component, wish: ArrayLike) -> Component:
        """Return widths for a wish [G] to leave a plan that is within the budget; the wish 0 gives the plan itself.

        A wish of one moves a keep ratio r by r (1 − r), as it would move a logit, but at least by a tenth. So groups
        that the plan leaves whole, or nearly empty, can still be moved.
        """
        sizes = self.network.widths.astype(np.float64)
        ratio = prior / sizes
        slope = np.maximum(ratio * (1 - ratio), LEAST_SLOPE)
        z = np.asarray(wish, np.float64)
        shifts = (self._reached / sizes[:, None] - ratio[:, None]) / slope[:, None] - z[:, None]
        return self._of_shifts(shifts, lambda shift: np.asarray(sizes * (ratio + slope * (z + shift)).clip(0, 1)))

    @property
    def _reached(self) -> NDArray[np.float64]:
        """Smallest real widths [G, L] that count as the legal ones."""
        return self._table - _ROUNDING

    def _of_shifts(self, shifts: NDArray[np.float64], wish: Callable[[float], NDArray[np.float64]]) -> Component:
        """Return the widths of the largest shift that is within the budget.

        The plan only changes if a group reaches its next width, so the bisection is over these shifts [G, L].
        """
        shifts = np.where(np.isfinite(self._table), shifts, np.inf)
        shifts[:, 0] = -np.inf
        steps = np.unique(shifts[np.isfinite(shifts)])
        holding, failing = -1, len(steps)
        while failing - holding > 1:
            middle = (holding + failing) // 2
            if self.hold(self._at((shifts <= steps[middle]).sum(1) - 1)):
                holding = middle
            else:
                failing = middle
        widths = self._at((shifts <= (steps[holding] if holding >= 0 else -np.inf)).sum(1) - 1)
        return self.filled(widths, wish(float(steps[failing]))) if failing < len(steps) else widths

    def _at(self, positions: NDArray[np.int64]) -> Component:
        """Return the widths at these positions [G] of the ladders."""
        return self._table[np.arange(len(positions)), positions].astype(np.int64)

    def of_family(self, wish: Callable[[float], NDArray[np.float64]], low: float, high: float) -> Component:
        """Return the widths of the largest of a growing family of wishes (real widths [G]) within the budget."""
        if self.holds(self._floored(wish(high))):
            low = high
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if self.holds(self._floored(wish(middle))):
                low = middle
            else:
                high = middle
        return self.settle(wish(low))

    def settle(self, wish: NDArray[np.float64]) -> Component:
        """Round real widths down to legal ones within the budget, then give channels back while they fit.

        The group that is furthest below its wish, as a share of its size, comes first.
        """
        widths = self._floored(wish)
        return self.filled(widths if self.holds(widths) else self.narrowest, wish)

    def filled(self, widths: Component, wish: NDArray[np.float64]) -> Component:
        """Give channels back while they fit; a group whose next width does not fit once is not tried again."""
        groups = np.arange(len(widths))
        positions = (self._table < widths[:, None]).sum(1)
        tops = np.isfinite(self._table).sum(1) - 1
        while len(open_ := groups[positions < tops]):
            wider = np.tile(widths, (len(open_), 1))
            wider[np.arange(len(open_)), open_] = self._table[open_, positions[open_] + 1]
            fits = self.hold(wider)
            tops[open_[~fits]] = positions[open_[~fits]]
            if not fits.any():
                break
            lack = (wish[open_] - widths[open_]) / self.network.widths[open_]
            chosen = int(np.where(fits, lack, -np.inf).argmax())
            widths = wider[chosen]
            positions[open_[chosen]] += 1
        return widths

    def _floored(self, wish: NDArray[np.float64]) -> Component:
        return self._at(np.maximum((self._reached <= wish[:, None]).sum(1) - 1, 0))


def _shown(ladder: Component) -> str:
    if len(ladder) == 1:
        return str(ladder[0])
    if len(ladder) == ladder[-1] - ladder[0] + 1:
        return f"{ladder[0]} to {ladder[-1]}"
    return f"{', '.join(map(str, ladder[:3]))}, ..., {ladder[-1]}"
