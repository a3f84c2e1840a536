"""From what a policy wants to a plan that meets its limit exactly.

A policy gives one number per group; the widths are  w_g = n_g · σ(z_g + b)  with one shift b found by bisection so that
the network of the *rounded* widths is within the limit, then single channels are given back while they fit. No plan
misses its limit, so no penalty is needed (AMC's clamp, He et al. 2018, https://arxiv.org/abs/1802.03494, for all
groups at once).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from gnnrl.errors import NothingToPrune, UnreachableConstraint
from gnnrl.network.cost import Budget, Constraint
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.pruning.rules import WidthRules
from gnnrl.pruning.unreachable import explain_unreachable

_STEPS = 60
LEAST_SLOPE = 0.1


@dataclass(frozen=True, slots=True)
class Projection:
    """Maps wishes onto widths within one budget for one network."""

    network: Network
    budget: Budget
    ladders: tuple[Component, ...]

    @classmethod
    def build(
        cls, network: Network, constraint: str | Sequence[Constraint] | Budget, rules: WidthRules | None = None
    ) -> "Projection":
        """Check that a limit can be met at all.

        Raises:
            NothingToPrune: the network has no group to decide about.
            UnreachableConstraint: even the narrowest legal network is too large; the message says what is reachable.
        """
        if not network.groups:
            raise NothingToPrune(_nothing(network))
        rules = rules or WidthRules()
        budget = Budget.of(constraint, network.cost.measure(network.widths))
        projection = cls(network, budget, tuple(rules.ladders(network)))
        if not projection.holds(projection.narrowest):
            raise UnreachableConstraint(explain_unreachable(network, budget, rules))
        return projection

    def step(self, widths: Component, budget: Budget) -> "Projection":
        """The projection of one step of an episode: nothing grows beyond `widths`, another budget holds."""
        ladders = tuple(ladder[ladder <= width] for ladder, width in zip(self.ladders, widths, strict=True))
        return Projection(self.network, budget, ladders)

    @property
    def narrowest(self) -> Component:
        """Smallest legal widths [G]."""
        return np.array([ladder[0] for ladder in self.ladders])

    def holds(self, widths: Component) -> bool:
        """Whether these widths are within the budget."""
        return self.budget.holds(self.network.cost.measure(widths))

    def of_logits(self, logits: ArrayLike) -> Component:
        """Widths for the logits of the wished keep ratios [G]: the nearest plan by one common shift."""
        z = np.clip(np.asarray(logits, np.float64), -30, 30)
        return self.of_family(lambda shift: self.network.widths * expit(z + shift), -70.0, 70.0)

    def around(self, prior: Component, wish: ArrayLike) -> Component:
        """Widths for a wish [G] to leave a plan that is within the budget; the wish 0 gives the plan itself.

        A wish of one moves a keep ratio r by r (1 − r), as it would move a logit, but at least by a tenth, so that a
        group which the plan leaves whole, or nearly empty, can still be moved.
        """
        sizes = self.network.widths.astype(np.float64)
        ratio = prior / sizes
        slope = np.maximum(ratio * (1 - ratio), LEAST_SLOPE)
        z = np.asarray(wish, np.float64)
        return self.of_family(lambda shift: np.asarray(sizes * (ratio + slope * (z + shift)).clip(0, 1)), -40.0, 40.0)

    def of_family(self, wish: Callable[[float], NDArray[np.float64]], low: float, high: float) -> Component:
        """Widths of the largest member of a growing family of wishes (real widths [G]) that is within the budget."""
        if self.holds(self._floored(wish(high))):
            return self.settle(wish(high))
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if self.holds(self._floored(wish(middle))):
                low = middle
            else:
                high = middle
        return self.settle(wish(low))

    def settle(self, wish: NDArray[np.float64]) -> Component:
        """Round real widths down to legal ones within the budget, then give channels back while they fit.

        The group that is furthest below its wish, as a share of its size, is served first.
        """
        widths = self._floored(wish)
        if not self.holds(widths):
            widths = self.narrowest
        positions = np.array(
            [np.searchsorted(ladder, width) for ladder, width in zip(self.ladders, widths, strict=True)]
        )
        blocked = np.array(
            [position + 1 >= len(ladder) for position, ladder in zip(positions, self.ladders, strict=True)]
        )
        while not blocked.all():
            lack = np.where(blocked, -np.inf, (wish - widths) / self.network.widths)
            group = int(lack.argmax())
            trial = widths.copy()
            trial[group] = self.ladders[group][positions[group] + 1]
            if self.holds(trial):
                widths = trial
                positions[group] += 1
                blocked[group] = positions[group] + 1 >= len(self.ladders[group])
            else:
                blocked[group] = True
        return widths

    def _floored(self, wish: NDArray[np.float64]) -> Component:
        floors = [
            ladder[max(int(np.searchsorted(ladder, width + 1e-9, side="right")) - 1, 0)]
            for ladder, width in zip(self.ladders, wish, strict=True)
        ]
        return np.array(floors, np.int64)


def _nothing(network: Network) -> str:
    reasons = {str(reason) for group in network.frozen for reason in group.reasons[:1]}
    listed = "; ".join(sorted(reasons)[:5]) or "it has no layer with channels (convolution, linear)"
    return f"{network.model_class} has nothing to prune: {listed}"
