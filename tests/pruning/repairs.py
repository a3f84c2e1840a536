"""Networks that lost channels, and how far their outputs are from the dense ones."""

import numpy as np
import torch
from torch import Tensor, nn

from gnnrl.network.surgery import remove
from gnnrl.pruning.reconstruction import Repair
from tests.topologies import Traced

EXACT = Repair(ridge=1e-12, per_input=0.0)


def pruned(case: Traced, keep: float = 0.5) -> tuple[nn.Module, list[np.ndarray]]:
    kept = [np.arange(max(1, round(group.size * keep))) for group in case.network.groups]
    return remove(case.model, case.network, kept), kept


def error(a: nn.Module, b: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        dense = b(x)
        return float((a(x) - dense).square().mean() / dense.var())
