"""Least squares near the old weights, for layers of any width.

n = samples, g = groups of a convolution (1 for a dense layer), p = inputs of an output, O = outputs of all groups.
The solution has two forms. With centred inputs X [n, p], remainder R = Y − X W_old and s = λ · mean diagonal,

    W − W_old = (XᵀX / n + s I)⁻¹ Xᵀ R / n = Xᵀ (X Xᵀ / n + s I)⁻¹ R / n

so the system has the size of the smaller of n and p. A linear layer of 25,088 inputs never needs its Gram matrix.
"""

import math

import torch
from torch import Tensor

RIDGE, PER_INPUT = 1e-3, 0.1
_STRIP, _STRIPS = 64, 8
_ROUNDING = 1e-5


def damping(inputs: int, images: int, ridge: float = RIDGE, per_input: float = PER_INPUT) -> float:
    """Return the pull towards the old weights, relative to the mean variance of an input.

    It is stronger if there are few images for each input, because samples of one image are not independent.

    Args:
        per_input: growth of the pull with each input, divided by the number of images.
    """
    return ridge + per_input * inputs / images


def solve(
    inputs: Tensor,
    target: Tensor,
    weight: Tensor,
    *,
    ridge: float,
    groups: int = 1,
    centred: bool = True,
    images: int | None = None,
    per_input: float = PER_INPUT,
) -> tuple[Tensor, Tensor]:
    """Find weights [O, p] and a shift [O] that map inputs [n, g · p] to a target [n, O], near the old weights [O, p].

    Args:
        ridge, per_input: see `damping`.
        groups: number of groups; the outputs of a group read only the inputs of that group.
        centred: True if the layer can shift its outputs; otherwise the shift is 0.
        images: number of images that the samples come from; by default one sample each.
    """
    count, exact = len(inputs), torch.promote_types(inputs.dtype, torch.float32)
    x = inputs.to(exact).reshape(count, groups, -1).transpose(0, 1)
    y = target.to(exact).reshape(count, groups, -1).transpose(0, 1)
    old = weight.to(exact).reshape(groups, y.shape[2], -1).mT
    mean, goal = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    if not centred:
        mean, goal = torch.zeros_like(mean), torch.zeros_like(goal)
    x = x - mean
    strength = damping(x.shape[2], min(images or count, count), ridge, per_input)
    step = (_primal if x.shape[2] <= count else _dual)(x, y - goal, old, strength)
    solved = old + step
    shift = goal - mean @ solved
    return solved.mT.flatten(0, 1).to(weight.dtype), shift.flatten().to(weight.dtype)


def shift_of(inputs: Tensor, target: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """Return the best shift [O] for these weights [O, p]."""
    exact = torch.promote_types(inputs.dtype, torch.float32)
    mean = inputs.to(exact).mean(0, keepdim=True)
    return (target.to(exact).mean(0) - _outputs(mean, weight, groups)[0]).to(weight.dtype)


def is_worse(
    inputs: Tensor, target: Tensor, groups: int, found: tuple[Tensor, Tensor], old: tuple[Tensor, Tensor]
) -> bool:
    """Return True if weights [O, p] and shift [O] have a larger error than the old ones, by more than rounding."""
    if not len(inputs):
        return False
    errors = [
        float((_outputs(inputs, weight, groups) + shift - target).square().mean()) for weight, shift in (found, old)
    ]
    return errors[0] > errors[1] + _ROUNDING * float(target.float().square().mean())


def _outputs(inputs: Tensor, weight: Tensor, groups: int) -> Tensor:
    exact = torch.promote_types(inputs.dtype, torch.float32)
    x = inputs.to(exact).view(len(inputs), groups, -1)
    w = weight.to(exact).reshape(groups, -1, weight.shape[1])
    return torch.einsum("ngp,gop->ngo", x, w).flatten(1)


def _primal(x: Tensor, y: Tensor, old: Tensor, strength: float) -> Tensor:
    """Solve by the Gram matrix:  Xᵀ R = Xᵀ Y − Xᵀ X W_old."""
    gram = (_gram(x) / x.shape[1]).double()
    cross = (x.mT @ y / x.shape[1]).double() - gram @ old.double()
    return _solve_damped(gram, cross, strength, x.shape[2]).to(x.dtype)


def _dual(x: Tensor, y: Tensor, old: Tensor, strength: float) -> Tensor:
    remainder = torch.baddbmm(y, x, old, alpha=-1)
    kernel = (_gram(x.mT) / x.shape[1]).double()
    return x.mT @ (_solve_damped(kernel, remainder.double(), strength, x.shape[2]) / x.shape[1]).to(x.dtype)


def _gram(x: Tensor) -> Tensor:
    """Compute XᵀX [g, p, p] of X [g, n, p] in strips from the diagonal; the other half is symmetric."""
    size, width = x.shape[2], max(_STRIP, math.ceil(x.shape[2] / _STRIPS))
    if size <= width:
        return x.mT @ x
    gram = x.new_empty(len(x), size, size)
    for start in range(0, size, width):
        strip = x[..., start : start + width].mT @ x[..., start:]
        gram[:, start : start + width, start:] = strip
        gram[:, start:, start : start + width] = strip.mT
    return gram


def _solve_damped(gram: Tensor, right: Tensor, strength: float, inputs: int) -> Tensor:
    """Solve with strength · mean variance of an input added to the diagonal of `gram`, which is overwritten."""
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    diagonal += strength * (diagonal.sum(-1, keepdim=True) / inputs).clamp_min(1e-12)
    return torch.cholesky_solve(right, torch.linalg.cholesky(gram))
