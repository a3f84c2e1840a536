"""What a network costs, as a function of the widths of its groups; and the limits put on it.

Every labelled dimension has the size  s = fixed + Σ_g multiplicity_g · width_g.  Multiply-accumulates and parameters
are sums of products of such sizes, the peak of the activations is a maximum of such sums, so no forward pass is needed.
MACs are counted per sample for convolutions, linear layers, matrix products and attention; one MAC is two FLOPs
(`torch.utils.flop_counter` counts FLOPs). Latency is measured, layer by layer, before it can be limited
(`gnnrl.latency`); then it is a function of sizes as well.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gnnrl.errors import ConfigError, question
from gnnrl.network.labels import Component
from gnnrl.network.polynomial import Polynomial, Sizes

METRICS = ("macs", "params", "bytes", "activations", "latency")
_SUFFIX = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_OF_BYTES = ("kb", "mb", "gb")
_LIMIT = r"([a-z_]+)\s*<=?\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*(%|ms|us|s|[kmg]b|[kmgb]?)"
_LEAST = 1e-9
_LEAST_SIZE = 100
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True, order=True)
class Cost:
    """Size of a network.

    Attributes:
        macs: multiply-accumulates of one sample.
        params: number of parameters.
        bytes: bytes of all parameters and buffers, as they are stored.
        activations: bytes of the results that are alive at one time, at most, for one sample. Results live from the
            operation that makes them to the last that reads them, in the order of the program; views and results in
            place take no memory of their own; parameters, inputs and what a kernel needs inside are not counted.
        latency: milliseconds of one forward pass of the example inputs, as the measured layers predict them; None
            where they were not measured.
    """

    macs: int
    params: int
    bytes: int
    activations: int = 0
    latency: float | None = None


class Form(Protocol):
    """A function of sizes: a polynomial, the peak of many, or a table of measurements."""

    def value(self, sizes: NDArray[np.int64]) -> NDArray[Any]:
        """Value for sizes [..., S]."""

    def gradient(self, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Derivatives [N, S] with respect to each size [N, S]."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that can be limited, as a function of the widths of groups.

    Attributes:
        samples: samples that the form counts; the metric is of one.
    """

    sizes: Sizes
    form: Form
    samples: int = 1

    def value(self, widths: Component) -> NDArray[Any]:
        """Value at widths [..., G]."""
        return self.at(self.sizes.at(np.asarray(widths, np.int64)))

    def at(self, sizes: NDArray[np.int64]) -> NDArray[Any]:
        """Value for sizes [..., S]."""
        value = self.form.value(sizes)
        return value // self.samples if self.samples > 1 else value

    def price(self, widths: Component) -> NDArray[np.float64]:
        """Derivatives with respect to widths [G] or [N, G]: what one unit of each group costs."""
        plans = np.atleast_2d(np.asarray(widths, np.int64))
        price = self.sizes.price(self.form.gradient(self.sizes.at(plans)), plans.shape[1])
        return price.reshape(np.shape(widths)) / self.samples


@dataclass(frozen=True, slots=True)
class CostModel:
    """All metrics of one network.

    Attributes:
        sizes: of the labelled dimensions; metrics that are measured may have their own.
        operations: the operation that each term of the form of `macs` belongs to.
    """

    sizes: Sizes
    metrics: Mapping[str, Metric]
    operations: NDArray[np.int64]

    def measure(self, widths: Component) -> Cost:
        """Cost of the network at these widths [G]."""
        widths = np.asarray(widths, np.int64)
        sizes = self.sizes.at(widths)
        return Cost(
            **{
                name: (metric.at(sizes) if metric.sizes is self.sizes else metric.value(widths)).item()
                for name, metric in self.metrics.items()
            }
        )

    def metric(self, name: str, widths: Component) -> NDArray[Any]:
        """One metric for many widths at once [..., G]."""
        return self.metrics[name].value(widths)

    def macs_by_operation(self, widths: Component, count: int) -> NDArray[np.float64]:
        """Multiply-accumulates of each of the network's `count` operations, for one sample."""
        macs = self.metrics["macs"]
        assert isinstance(macs.form, Polynomial)
        terms = macs.form.terms(self.sizes.at(widths))
        return np.bincount(self.operations, weights=terms, minlength=count) / macs.samples

    def price(self, name: str, widths: Component) -> NDArray[np.float64]:
        """Derivatives of one metric with respect to widths [G] or [N, G]: what one unit of each group costs."""
        return self.metrics[name].price(widths)

    def including(self, name: str, metric: Metric) -> "CostModel":
        """The same with another metric, or with another form of one."""
        return replace(self, metrics={**self.metrics, name: metric})


def show_amount(metric: str, amount: float) -> str:
    """Write an amount of a metric."""
    return f"{amount:.4g}ms" if metric == "latency" else f"{amount:,.0f}"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit on one metric, as a share of the dense network or a number: `macs<=50%`, `params<=1.5M`, `latency<=5ms`.

    Attributes:
        limit: per cent, a number, or milliseconds of latency.
    """

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
        shown = f"{self.limit:.6g}%" if self.relative else show_amount(self.metric, self.limit)
        return f"{self.metric}<={shown}"


def name_limit(constraint: str) -> str:
    """A name for a folder: `macs<=50%` is `macs-50`, `latency<=5ms` is `latency-5ms`.

    Raises:
        ConfigError: not a limit.
    """
    parts = (str(part).replace("<=", "-").replace("%", "").replace(",", "") for part in Constraint.parse(constraint))
    return "-".join(parts)


def as_constraints(constraint: str | Sequence[Constraint]) -> tuple[Constraint, ...]:
    """Limits as text, or as they were read before.

    Raises:
        ConfigError: neither of both; the message shows a limit.
    """
    if isinstance(constraint, str):
        return Constraint.parse(constraint)
    if not isinstance(constraint, tuple | list) or not all(isinstance(each, Constraint) for each in constraint):
        raise ConfigError(f"a limit is text, got {constraint!r}; write for example macs<=50%")
    return tuple(constraint)


def _parse_one(text: str) -> Constraint:
    example = f"write for example macs<=50%, params<=1.5M or latency<=5ms (metrics: {', '.join(METRICS)})"
    match = re.fullmatch(_LIMIT, text, re.IGNORECASE)
    if not match:
        raise ConfigError(f"{text!r} is not a limit; {example}")
    metric, number, unit = match[1].lower(), match[2], match[3].lower()
    if metric == "flops" and unit == "%":
        metric = "macs"
    if metric == "flops":
        raise ConfigError(f"{text!r}: a number of FLOPs is ambiguous (one MAC is two); limit macs instead, or a share")
    if metric not in METRICS:
        hint = question(metric, METRICS)
        raise ConfigError(f"{text!r} limits {metric!r}, which is not a metric; {hint and f'{hint} Or '}{example}")
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
    if (metric == "latency") != (unit in _MILLISECONDS):
        raise ConfigError(f"{text!r}: latency is a time (us, ms or s), and nothing else is; {example}")
    if metric == "latency" and limit > 0:
        return Constraint(metric, limit * _MILLISECONDS[unit], False)
    if unit in _OF_BYTES:
        if metric not in ("bytes", "activations"):
            raise ConfigError(f"{text!r}: {metric} are no bytes; {example}")
        unit = unit[0]
    if limit * _SUFFIX.get(unit, 0) <= (1 if unit else _LEAST_SIZE):
        meant = f"did you mean {metric}<={number}%? Or " if 1 <= limit < 100 and not unit else ""
        raise ConfigError(f"{text!r}: {number} without a unit is neither a share nor a size; {meant}{example}")
    return Constraint(metric, limit * _SUFFIX[unit], False)


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits as numbers: what each metric may be at most; latency in milliseconds."""

    limits: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, constraint: "str | Sequence[Constraint] | Budget", dense: Cost) -> "Budget":
        """Turn limits into numbers for a network of this dense cost.

        Raises:
            ConfigError: not a limit, or one on latency where no layer was measured.
        """
        if isinstance(constraint, Budget):
            return constraint
        return cls(tuple((c.metric, _absolute(c, dense)) for c in as_constraints(constraint)))

    def holds(self, cost: Cost) -> bool:
        """Whether a network of this cost is within all limits."""
        return all(getattr(cost, metric) <= limit for metric, limit in self.limits)

    def on_the_way(self, dense: Cost, share: float) -> "Budget":
        """The budget after a share of the way from the dense network: each limit falls geometrically."""
        limits = []
        for metric, limit in self.limits:
            start = getattr(dense, metric)
            between = start * (limit / start) ** share
            between = between if metric == "latency" else int(between)
            limits.append((metric, limit if share >= 1 else max(limit, between)))
        return Budget(tuple(limits))

    def excess(self, cost: Cost) -> float:
        """Largest ratio of a metric to its limit; at most 1 when the budget holds."""
        return max(float(getattr(cost, metric)) / max(limit, _LEAST) for metric, limit in self.limits)

    def __str__(self) -> str:
        return ", ".join(f"{metric}<={show_amount(metric, limit)}" for metric, limit in self.limits)


def _absolute(constraint: Constraint, dense: Cost) -> float:
    value = getattr(dense, constraint.metric)
    if value is None:
        raise ConfigError(
            f"{constraint} limits a time, and no layer was measured; let gnnrl.measure_latency(model, network, "
            "example_inputs) return a network that knows its latency"
        )
    if constraint.metric == "latency":
        return float(value * constraint.limit / 100 if constraint.relative else constraint.limit)
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
