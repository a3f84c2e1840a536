"""The smallest change of a plan at its limit: one group gives channels, and another takes the freed budget."""

import numpy as np

from gnnrl.network.labels import Component
from gnnrl.pruning.projection import Projection


def exchange(projection: Projection, widths: Component, share: float, rng: np.random.Generator) -> Component:
    """Take channels from one group, widen another by the freed budget, and distribute the rest.

    Args:
        widths: a plan within the budget [G].
        share: largest part of its dense width that a group gives.
    """
    ladders = projection.ladders
    giving = [group for group, ladder in enumerate(ladders) if widths[group] > ladder[0]]
    taking = [group for group, ladder in enumerate(ladders) if widths[group] < ladder[-1]]
    if not giving or not taking:
        return widths
    giver, taker = int(rng.choice(giving)), int(rng.choice(taking))
    changed = widths.copy()
    changed[giver] = _below(ladders[giver], widths[giver], share * rng.random() * ladders[giver][-1])
    wish = changed.astype(np.float64)
    if taker != giver:
        for width in ladders[taker][ladders[taker] > widths[taker]]:
            wider = changed.copy()
            wider[taker] = width
            if not projection.holds(wider):
                break
            changed, wish = wider, wider.astype(np.float64)
    wish[giver] -= projection.network.widths.max()  # so that the rest goes to any other group first
    return projection.filled(changed, wish)


def _below(ladder: Component, width: int, channels: float) -> int:
    """Return the allowed width nearest to `width - channels`, and at least one step narrower."""
    lower = ladder[ladder < width]
    return int(lower[np.abs(lower - (width - channels)).argmin()])
