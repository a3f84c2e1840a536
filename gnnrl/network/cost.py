"""Costs of a network as functions of the widths of its groups, and limits on them.

Every labelled dimension has the size  s = fixed + Σ_g multiplicity_g · width_g.  MACs and parameters are sums of
products of such sizes. The peak of the activations is a maximum of such sums. So no forward pass is needed.
MACs are counted per sample for convolutions, linear layers, matrix products and attention. One MAC is two FLOPs, which
`torch.utils.flop_counter` counts. Latency is measured layer by layer (`gnnrl.latency`) before it can be limited; then
it is a function of sizes, too.
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

COSTS = ("macs", "params", "bytes", "activations", "latency")
_SUFFIX = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_OF_BYTES = ("kb", "mb", "gb")
_LIMIT = r"([a-z_]+)\s*<=?\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*(%|ms|us|s|[kmg]b|[kmgb]?)"
_SMALLEST_LIMIT = 1e-9
_SMALLEST_SIZE = 100
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True, order=True)
class Cost:
    """Costs of a network at given widths.

    Attributes:
        macs: multiply-accumulates of one sample.
        params: number of parameters.
        bytes: bytes of all parameters and buffers as they are stored.
        activations: largest number of bytes of results that are alive at one time, for one sample. A result lives from
            the operation that makes it to the last one that reads it. Views and in-place results take no memory.
            Parameters, inputs and the workspace of kernels are not counted.
        latency: predicted milliseconds of one forward pass of the example inputs; None if no layer was measured.
    """

    macs: int
    params: int
    bytes: int
    activations: int = 0
    latency: float | None = None


class Form(Protocol):
    """A function of sizes: a polynomial, a maximum of polynomials, or a table of measurements."""

    def value(self, sizes: NDArray[np.int64]) -> NDArray[Any]:
        """Return the value for sizes [..., S]."""

    def gradient(self, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return derivatives [N, S] with respect to each size [N, S]."""


@dataclass(frozen=True, slots=True)
class CostFunction:
    """One cost as a function of the widths of groups.

    Attributes:
        samples: number of samples that the form counts; the cost is that of one sample.
    """

    sizes: Sizes
    form: Form
    samples: int = 1

    def value(self, widths: Component) -> NDArray[Any]:
        """Return the value at widths [..., G]."""
        return self.at(self.sizes.at(np.asarray(widths, np.int64)))

    def at(self, sizes: NDArray[np.int64]) -> NDArray[Any]:
        """Return the value for sizes [..., S]."""
        value = self.form.value(sizes)
        return value // self.samples if self.samples > 1 else value

    def price(self, widths: Component) -> NDArray[np.float64]:
        """Return derivatives with respect to widths [G] or [N, G]: the price of one unit of each group."""
        plans = np.atleast_2d(np.asarray(widths, np.int64))
        price = self.sizes.price(self.form.gradient(self.sizes.at(plans)), plans.shape[1])
        return price.reshape(np.shape(widths)) / self.samples


@dataclass(frozen=True, slots=True)
class CostModel:
    """All cost functions of one network.

    Attributes:
        sizes: sizes of the labelled dimensions; measured costs may have sizes of their own.
        operations: index of the operation of each term in the form of `macs`.
    """

    sizes: Sizes
    metrics: Mapping[str, CostFunction]
    operations: NDArray[np.int64]

    def measure(self, widths: Component) -> Cost:
        """Return the costs of the network at widths [G]."""
        widths = np.asarray(widths, np.int64)
        sizes = self.sizes.at(widths)
        return Cost(
            **{
                name: (metric.at(sizes) if metric.sizes is self.sizes else metric.value(widths)).item()
                for name, metric in self.metrics.items()
            }
        )

    def metric(self, name: str, widths: Component) -> NDArray[Any]:
        """Return one cost at many widths [..., G] at once."""
        return self.metrics[name].value(widths)

    def macs_by_operation(self, widths: Component, count: int) -> NDArray[np.float64]:
        """Return the MACs of each of the network's `count` operations for one sample."""
        macs = self.metrics["macs"]
        assert isinstance(macs.form, Polynomial)
        terms = macs.form.terms(self.sizes.at(widths))
        return np.bincount(self.operations, weights=terms, minlength=count) / macs.samples

    def price(self, name: str, widths: Component) -> NDArray[np.float64]:
        """Return derivatives of one cost with respect to widths [G] or [N, G]: the price of one unit of each group."""
        return self.metrics[name].price(widths)

    def including(self, name: str, metric: CostFunction) -> "CostModel":
        """Return a copy in which one cost function is added or replaced."""
        return replace(self, metrics={**self.metrics, name: metric})


def show_amount(metric: str, amount: float) -> str:
    """Write an amount of a cost."""
    return f"{amount:.4g}ms" if metric == "latency" else f"{amount:,.0f}"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit on one cost, as a share of the dense network or an amount: `macs<=50%`, `params<=1.5M`, `latency<=5ms`.

    Attributes:
        limit: a percentage, an amount, or milliseconds of latency.
    """

    metric: str
    limit: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> tuple["Constraint", ...]:
        """Read limits separated by commas.

        Raises:
            ConfigError: the text is not a limit. The message shows an example.
        """
        ungrouped = re.sub(r"(\d),(?=\d{3}(?!\d))", r"\1", str(text))
        if (found := re.sub(r"(\d),(?=\d)", r"\1.", ungrouped)) != str(text):
            raise ConfigError(f"{text!r}: a comma separates limits; write {found}")
        parts = [part.strip() for part in str(text).split(",") if part.strip()]
        if not parts:
            raise ConfigError("no limit was given; write for example macs<=50%")
        constraints = tuple(_parse_one(part) for part in parts)
        names = [constraint.metric for constraint in constraints]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"{', '.join(sorted(twice))} is limited twice in {text!r}; give each cost one limit")
        return constraints

    def __str__(self) -> str:
        shown = f"{self.limit:.6g}%" if self.relative else show_amount(self.metric, self.limit)
        return f"{self.metric}<={shown}"


def name_limit(constraint: str) -> str:
    """Return a name for a folder: `macs-50` for `macs<=50%`, `latency-5ms` for `latency<=5ms`.

    Raises:
        ConfigError: the text is not a limit.
    """
    parts = (str(part).replace("<=", "-").replace("%", "").replace(",", "") for part in Constraint.parse(constraint))
    return "-".join(parts)


def as_constraints(constraint: str | Sequence[Constraint]) -> tuple[Constraint, ...]:
    """Return limits that are given as text or as constraints.

    Raises:
        ConfigError: the argument is neither of these. The message shows an example.
    """
    if isinstance(constraint, str):
        return Constraint.parse(constraint)
    if not isinstance(constraint, tuple | list) or not all(isinstance(each, Constraint) for each in constraint):
        raise ConfigError(f"a limit must be a text, got {constraint!r}; write for example macs<=50%")
    return tuple(constraint)


def _parse_one(text: str) -> Constraint:
    example = f"write for example macs<=50%, params<=1.5M or latency<=5ms (costs: {', '.join(COSTS)})"
    match = re.fullmatch(_LIMIT, text, re.IGNORECASE)
    if not match:
        raise ConfigError(f"{text!r} is not a limit; {example}")
    metric, number, unit = match[1].lower(), match[2], match[3].lower()
    if metric == "flops" and unit == "%":
        metric = "macs"
    if metric == "flops":
        raise ConfigError(f"{text!r}: a number of FLOPs is ambiguous (one MAC is two); limit macs instead, or a share")
    if metric not in COSTS:
        hint = question(metric, COSTS)
        raise ConfigError(f"{text!r} limits {metric!r}, which is not a cost; {hint and f'{hint} Or '}{example}")
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
        raise ConfigError(f"{text!r}: only latency, and always latency, has a unit of time (us, ms, s); {example}")
    if metric == "latency" and limit > 0:
        return Constraint(metric, limit * _MILLISECONDS[unit], False)
    if unit in _OF_BYTES:
        if metric not in ("bytes", "activations"):
            raise ConfigError(f"{text!r}: {metric} are not counted in bytes; {example}")
        unit = unit[0]
    if limit * _SUFFIX.get(unit, 0) <= (1 if unit else _SMALLEST_SIZE):
        meant = f"did you mean {metric}<={number}%? Or " if 1 <= limit < 100 and not unit else ""
        raise ConfigError(f"{text!r}: {number} without a unit is neither a share nor a size; {meant}{example}")
    return Constraint(metric, limit * _SUFFIX[unit], False)


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits as amounts: the largest value of each cost, with latency in milliseconds."""

    limits: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, constraint: "str | Sequence[Constraint] | Budget", dense: Cost) -> "Budget":
        """Turn limits into amounts for a network with these dense costs.

        Raises:
            ConfigError: the text is not a limit, or latency is limited and no layer was measured.
        """
        if isinstance(constraint, Budget):
            return constraint
        return cls(tuple((c.metric, _absolute(c, dense)) for c in as_constraints(constraint)))

    def holds(self, cost: Cost) -> bool:
        """Return whether costs are within all limits."""
        return all(getattr(cost, metric) <= limit for metric, limit in self.limits)

    def on_the_way(self, dense: Cost, share: float) -> "Budget":
        """Return the budget after a share of the way from the dense network. Each limit falls geometrically."""
        limits = []
        for metric, limit in self.limits:
            start = getattr(dense, metric)
            between = start * (limit / start) ** share
            between = between if metric == "latency" else int(between)
            limits.append((metric, limit if share >= 1 else max(limit, between)))
        return Budget(tuple(limits))

    def excess(self, cost: Cost) -> float:
        """Return the largest ratio of a cost to its limit. It is at most 1 if the budget holds."""
        return max(float(getattr(cost, metric)) / max(limit, _SMALLEST_LIMIT) for metric, limit in self.limits)

    def __str__(self) -> str:
        return ", ".join(f"{metric}<={show_amount(metric, limit)}" for metric, limit in self.limits)


def _absolute(constraint: Constraint, dense: Cost) -> float:
    value = getattr(dense, constraint.metric)
    if value is None:
        raise ConfigError(
            f"{constraint} limits the latency, and no layer was measured; call gnnrl.measure_latency(model, network, "
            "example_inputs) and use the network that it returns"
        )
    if constraint.metric == "latency":
        return float(value * constraint.limit / 100 if constraint.relative else constraint.limit)
    return int(value * constraint.limit / 100 + 1e-6) if constraint.relative else int(constraint.limit)


def measure(network: Any, plan: Any = None) -> Cost:
    """Return the costs of a network, dense or at the widths of a plan, without a forward pass.

        network = gnnrl.trace(model, example_inputs)
        measure(network).macs, measure(network, gnnrl.Plan.uniform(network, "macs<=50%")).macs

    Args:
        network: the result of `trace`.
        plan: a plan, or an array of widths [G]; None for the dense network.
    """
    widths = network.widths if plan is None else getattr(plan, "widths", plan)
    cost: Cost = network.cost.measure(np.asarray(widths, np.int64))
    return cost
