"""The smallest change of a plan at its limit: some groups give channels, another takes what they cost."""

import numpy as np

from gnnrl.network.labels import Component
from gnnrl.pruning.projection import Projection


def exchange(projection: Projection, widths: Component, share: float, rng: np.random.Generator) -> Component:
    """Take up to a share of one group's channels, give them to another, and settle the rest.

    Args:
        widths: a plan within the budget [G].
        share: largest part of the giving group's dense width that it gives.
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
    wish[giver] -= projection.network.widths.max()  # what is left goes to any other group first
    return projection.filled(changed, wish)


def _below(ladder: Component, width: int, channels: float) -> int:
    """The legal width nearest to so many channels fewer, at least one step down."""
    lower = ladder[ladder < width]
    return int(lower[np.abs(lower - (width - channels)).argmin()])
