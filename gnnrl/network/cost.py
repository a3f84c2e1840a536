"""Costs of a network as functions of the widths of its groups, and limits on them.

Every labelled dimension has the size  s = fixed + Σ_g multiplicity_g · width_g.  MACs and parameters are sums of
products of such sizes. The peak of the activations is a maximum of such sums. So no forward pass is needed.
MACs are counted per sample for convolutions, linear layers, matrix products and attention. One MAC is two FLOPs, which
`torch.utils.flop_counter` counts. Latency is measured layer by layer (`gnnrl.latency`) before it can be limited; then
it is a function of sizes, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gnnrl.errors import ConfigError
from gnnrl.network.labels import Component
from gnnrl.network.limits import Constraint, as_constraints, show_amount
from gnnrl.network.polynomial import Polynomial, Sizes

_SMALLEST_LIMIT = 1e-9


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

    def whole(self, name: str, widths: Component) -> float:
        """Return the amount that shares of a cost refer to: that of the dense network, whose widths these are.

        Shares of a latency refer to the dense network in fp32, also where another precision was measured.
        """
        reference: float | None = getattr(self.metrics[name].form, "reference", None)
        return float(self.metric(name, widths)) if reference is None else reference

    def including(self, name: str, metric: CostFunction) -> "CostModel":
        """Return a copy in which one cost function is added or replaced."""
        return replace(self, metrics={**self.metrics, name: metric})


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
