"""A model of the reward that a dozen trials can fit: a weight for each group's error curve.

    r(w) = r₀ − Σ_g β_g x_g(w) + ε      x = E(w) − E(closed form),   β_g ~ N(c, (τ c)²),   ε ~ N(0, σ²)

The closed form gives all curves the same weight (β_g = c). Bayesian linear regression learns a weight for each from the
rewards. c, τ and σ have the highest evidence, which is the probability of the rewards under the model (Bishop 2006,
"Pattern Recognition and Machine Learning", section 3.5).

n = scored plans, G = groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnrl.network.labels import Component
from gnnrl.pruning.allocation import WISH_BOUND, Allocation

_SLOPES = (0.03, 0.1, 0.3, 1.0)
_SPREADS = (0.3, 1.0, 3.0)
_NOISES = (0.1, 0.2, 0.4, 0.8)
_JITTER = 1e-9
LEAST_PLANS = 4


@dataclass(frozen=True, slots=True)
class RewardModel:
    """Distribution of the weights of the error curves, given the rewards of a search.

    Attributes:
        mean: expected weight of each curve [G].
        root: square root of the weights' covariance [G, G].
    """

    mean: NDArray[np.float64]
    root: NDArray[np.float64]

    @classmethod
    def fit(cls, allocation: Allocation, widths: Sequence[Component], rewards: Sequence[float]) -> "RewardModel":
        """Fit the model to `LEAST_PLANS` or more scored plans. Plans with rewards far below the median are left out."""
        # Leave out outliers: rewards more than four quartile distances below the median.
        y = np.asarray(rewards, np.float64)
        good = y >= np.median(y) - 4 * (np.median(y) - np.quantile(y, 0.25)) - _JITTER
        y, plans = y[good], np.asarray(widths)[good]
        x = allocation.errors_at(plans) - allocation.errors_at(allocation.widths())
        # Choose c, τ and σ from a grid by the evidence; `scale` turns errors into rewards.
        spread = max(float(y.std()), _JITTER)
        scale = spread / max(float(np.sqrt(np.square(x).sum(1).mean())), _JITTER)
        best = max(
            ((slope * scale, tau, noise * spread) for slope in _SLOPES for tau in _SPREADS for noise in _NOISES),
            key=lambda setting: _log_evidence(x, y, *setting),
        )
        return cls(*_posterior(x, y, *best))

    def best_wish(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the wish [G] that is optimal for one draw of the weights: their logarithms (Thompson 1933).

        A factor that all weights share has no effect, so the mean is set to zero.
        """
        weights = self.mean + self.root @ rng.standard_normal(len(self.mean))
        typical = max(float(np.abs(self.mean).mean()), _JITTER)
        wish = np.log(np.maximum(weights / typical, np.exp(-WISH_BOUND)))
        return np.asarray((wish - wish.mean()).clip(-WISH_BOUND, WISH_BOUND))


def _covariance(
    x: NDArray[np.float64], y: NDArray[np.float64], slope: float, tau: float, noise: float
) -> NDArray[np.float64]:
    """Return the covariance of the rewards [n, n] from the noise, the unknown level and the unknown weights."""
    return np.asarray(noise**2 * np.eye(len(y)) + 1e2 * y.var() + (tau * slope) ** 2 * (x @ x.T) + _JITTER**2)


def _log_evidence(x: NDArray[np.float64], y: NDArray[np.float64], slope: float, tau: float, noise: float) -> float:
    rest = y - y.mean() + slope * x.sum(1)
    sign, volume = np.linalg.slogdet(covariance := _covariance(x, y, slope, tau, noise))
    return float(-0.5 * (rest @ np.linalg.solve(covariance, rest) + volume)) if sign > 0 else -np.inf


def _posterior(
    x: NDArray[np.float64], y: NDArray[np.float64], slope: float, tau: float, noise: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean [G] and root of the covariance [G, G] of the weights, given the rewards."""
    # Add a column for the level, which has an almost flat prior around the mean reward.
    design = np.column_stack([np.ones(len(y)), -x])
    precision = np.diag([1e-2 / max(float(y.var()), _JITTER**2), *([(tau * slope) ** -2] * x.shape[1])])
    start = np.array([y.mean(), *([slope] * x.shape[1])])
    # Update the prior N(start, precision⁻¹) by the rewards.
    covariance = np.linalg.inv(design.T @ design / noise**2 + precision)
    mean = start + covariance @ (design.T @ (y - design @ start)) / noise**2
    root = np.linalg.cholesky(covariance[1:, 1:] + _JITTER**2 * np.eye(x.shape[1]))
    return mean[1:], np.asarray(root, np.float64)
