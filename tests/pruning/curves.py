"""Error curves of a network, and the allocation that they give."""

import numpy as np

from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.curves import Curve
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from tests.topologies import traced

NETWORK = traced("residual").network


def allocation(limit: str = "macs<=50%", seed: int = 0) -> Allocation:
    return Allocation.build(Projection.build(NETWORK, limit, WidthRules(round_to=1)), curves(seed))


def curves(seed: int = 0) -> list[Curve]:
    """Convex curves that fall to zero at the full width."""
    rng = np.random.default_rng(seed)
    steps = [np.sort(rng.random(group.size - 1)) for group in NETWORK.groups]
    return [Curve(np.arange(len(s) + 1), np.append(np.cumsum(s)[::-1], 0.0)) for s in steps]
