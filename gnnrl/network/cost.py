"""What a network costs, as a closed form of the widths of its groups; and the limits put on it.

Every labelled dimension has the size  s = fixed + Σ_g multiplicity_g · width_g.  Multiply-accumulates and parameters
are sums of products of such sizes, so no forward pass is needed. MACs are counted per sample for convolutions, linear
layers, matrix products and attention; one MAC is two FLOPs (`torch.utils.flop_counter` counts FLOPs).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnrl.errors import ConfigError
from gnnrl.network.labels import Component
from gnnrl.network.polynomial import Polynomial, Sizes

METRICS = ("macs", "params", "bytes")
_SUFFIX = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}


@dataclass(frozen=True, slots=True, order=True)
class Cost:
    """Size of a network.

    Attributes:
        macs: multiply-accumulates of one sample.
        params: number of parameters.
        bytes: bytes of all parameters and buffers, as they are stored.
    """

    macs: int
    params: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CostModel:
    """The closed form: macs, params and bytes are polynomials of the sizes of labelled dimensions.

    Attributes:
        operations: the operation that each term of `macs` belongs to.
    """

    sizes: Sizes
    macs: Polynomial
    params: Polynomial
    bytes: Polynomial
    batch_size: int
    operations: NDArray[np.int64]

    def measure(self, widths: Component) -> Cost:
        """Cost of the network at these widths [G]."""
        sizes = self.sizes.at(np.asarray(widths, np.int64))
        macs = int(self.macs.value(sizes)) // self.batch_size
        return Cost(macs, int(self.params.value(sizes)), int(self.bytes.value(sizes)))

    def metric(self, name: str, widths: Component) -> NDArray[np.int64]:
        """One metric for many widths at once [..., G]."""
        sizes = self.sizes.at(np.asarray(widths, np.int64))
        value: NDArray[np.int64] = getattr(self, name).value(sizes)
        return value // self.batch_size if name == "macs" else value

    def macs_by_operation(self, widths: Component, count: int) -> NDArray[np.float64]:
        """Multiply-accumulates of each of the network's `count` operations, for one sample."""
        terms = self.macs.terms(self.sizes.at(widths))
        return np.bincount(self.operations, weights=terms, minlength=count) / self.batch_size

    def price(self, name: str, widths: Component) -> NDArray[np.float64]:
        """Derivatives of one metric with respect to widths [G] or [N, G]: what one unit of each group costs."""
        plans = np.atleast_2d(np.asarray(widths, np.int64))
        price = self.sizes.price(getattr(self, name).gradient(self.sizes.at(plans)), plans.shape[1])
        return price.reshape(widths.shape) / (self.batch_size if name == "macs" else 1)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit on one metric, as a share of the dense network or a number: `macs<=50%`, `params<=1.5M`."""

    metric: str
    limit: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> tuple["Constraint", ...]:
        """Read one or several limits joined by commas.

        Raises:
            ConfigError: not a limit; the message shows one that is.
        """
        parts = [part.strip() for part in str(text).split(",") if part.strip()]
        if not parts:
            raise ConfigError("no limit was given; write for example macs<=50%")
        constraints = tuple(_parse_one(part) for part in parts)
        names = [constraint.metric for constraint in constraints]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"{', '.join(sorted(twice))} is limited twice in {text!r}; give each metric one limit")
        return constraints

    def __str__(self) -> str:
        return f"{self.metric}<={self.limit:.6g}%" if self.relative else f"{self.metric}<={self.limit:,.0f}"


def _parse_one(text: str) -> Constraint:
    example = f"write for example macs<=50%, params<=1.5M or bytes<=400k (metrics: {', '.join(METRICS)})"
    match = re.fullmatch(r"([a-z_]+)\s*<=?\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*(%|[kmgb]?)", text, re.IGNORECASE)
    if not match:
        raise ConfigError(f"{text!r} is not a limit; {example}")
    metric, number, unit = match[1].lower(), match[2], match[3].lower()
    if metric == "flops" and unit == "%":
        metric = "macs"
    if metric == "flops":
        raise ConfigError(f"{text!r}: a number of FLOPs is ambiguous (one MAC is two); limit macs instead, or a share")
    if metric not in METRICS:
        raise ConfigError(f"{text!r} limits {metric!r}, which is not a metric; {example}")
    try:
        limit = float(number)
    except ValueError:
        raise ConfigError(f"{number!r} in {text!r} is not a number; {example}") from None
    if unit == "%":
        if not 0 < limit < 100:
            raise ConfigError(f"{text!r}: a share must be above 0% and below 100%; {example}")
        return Constraint(metric, limit, True)
    if limit == float("inf"):
        raise ConfigError(f"{text!r}: {number} is too large a number; {example}")
    if limit * _SUFFIX[unit] <= 1:
        raise ConfigError(f"{text!r}: {number} without a unit is neither a share nor a size; {example}")
    return Constraint(metric, limit * _SUFFIX[unit], False)


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits as numbers: what each metric may be at most."""

    limits: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, constraint: "str | Sequence[Constraint] | Budget", dense: Cost) -> "Budget":
        """Turn limits into numbers for a network of this dense cost."""
        if isinstance(constraint, Budget):
            return constraint
        if not isinstance(constraint, str | tuple | list):
            raise ConfigError(f"a limit is text, got {constraint!r}; write for example macs<=50%")
        constraints = Constraint.parse(constraint) if isinstance(constraint, str) else constraint
        return cls(tuple((c.metric, _absolute(c, dense)) for c in constraints))

    def holds(self, cost: Cost) -> bool:
        """Whether a network of this cost is within all limits."""
        return all(getattr(cost, metric) <= limit for metric, limit in self.limits)

    def on_the_way(self, dense: Cost, share: float) -> "Budget":
        """The budget after a share of the way from the dense network: each limit falls geometrically."""
        limits = []
        for metric, limit in self.limits:
            start = getattr(dense, metric)
            limits.append((metric, limit if share >= 1 else max(limit, int(start * (limit / start) ** share))))
        return Budget(tuple(limits))

    def excess(self, cost: Cost) -> float:
        """Largest ratio of a metric to its limit; at most 1 when the budget holds."""
        return max(float(getattr(cost, metric)) / max(limit, 1) for metric, limit in self.limits)

    def __str__(self) -> str:
        return ", ".join(f"{metric}<={limit:,}" for metric, limit in self.limits)


def _absolute(constraint: Constraint, dense: Cost) -> int:
    value = getattr(dense, constraint.metric)
    return int(value * constraint.limit / 100 + 1e-6) if constraint.relative else int(constraint.limit)


def measure(network: Any, plan: Any = None) -> Cost:
    """Cost of a network, dense or at the widths of a plan, without a forward pass.

    Args:
        network: what `trace` returned.
        plan: a plan, an array of widths [G], or None for the dense network.
    """
    widths = network.widths if plan is None else getattr(plan, "widths", plan)
    cost: Cost = network.cost.measure(np.asarray(widths, np.int64))
    return cost
