"""Spectral norms of weights that lost rows or columns: their singular vectors are estimated again.

A spectral norm divides a weight W by σ = uᵀ W v. Training updates u and v by a power iteration. When W loses rows or
columns, u and v lose elements and are no longer unit vectors. Then σ is too small, and the layer's output too large by
a factor, until training corrects it. (Miyato et al. 2018, https://arxiv.org/abs/1802.05957)
"""

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm

_ITERATIONS = 30


@torch.no_grad()
def settle(model: nn.Module, changed: Collection[str]) -> None:
    """Update the vectors of all spectral norms among some tensors in place.

    Args:
        changed: names of the tensors that lost channels or whose channels became zero.
    """
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        if isinstance(module, ParametrizationList):
            for number, norm in enumerate(module):
                if isinstance(norm, _SpectralNorm) and {f"{prefix}{number}._u", f"{prefix}{number}._v"} & set(changed):
                    _iterate(norm._reshape_weight_to_matrix(module.original), norm._u, norm._v)
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and {f"{prefix}{hook.name}_{which}" for which in "uv"} & set(changed):
                matrix = hook.reshape_weight_to_matrix(getattr(module, f"{hook.name}_orig"))
                _iterate(matrix, *(getattr(module, f"{hook.name}_{which}") for which in "uv"))


def _iterate(matrix: Tensor, u: Tensor, v: Tensor) -> None:
    """Update u [O] and v [I] by 30 steps of the power iteration for a matrix [O, I]."""
    exact, left, right = matrix.double(), u.double(), v.double()
    for _ in range(_ITERATIONS):
        left = F.normalize(exact @ right, dim=0)
        right = F.normalize(exact.T @ left, dim=0)
    u.copy_(left)
    v.copy_(right)
