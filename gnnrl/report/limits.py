"""Limits that were asked for, with the cost of the network that was made: the headline of every report."""

from collections.abc import Iterable
from dataclasses import dataclass

from gnnrl.report.names import count

COSTS = {"macs": "MACs", "params": "parameters", "bytes": "bytes", "activations": "activations", "latency": "latency"}
"""Names of costs as people read them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One limit, with the cost that it limits.

    Attributes:
        limit: the limit, such as "macs<=60%".
        allowed: the largest cost within the limit.
        dense, pruned: the cost of the dense and of the pruned network; a latency is in milliseconds, as measured.
    """

    limit: str
    allowed: float
    dense: float
    pruned: float

    @property
    def text(self) -> str:
        """The limit as people write it: MACs ≤ 60%."""
        metric, _, most = self.limit.partition("<=")
        return f"{COSTS.get(metric, metric)}\u00a0≤\u00a0{most.replace('@', ' in ')}"

    @property
    def is_met(self) -> bool:
        """True if the pruned network is within the limit."""
        return self.pruned <= self.allowed

    @property
    def verdict(self) -> str:
        """Say whether the limit is met, and by how much: "met by 0.4 points"."""
        gap = abs(self.allowed - self.pruned)
        if not gap:
            return "met exactly"
        if "%" in self.limit:
            gap, unit, digits = 100 * gap / max(self.dense, 1e-9), "points", 1
        elif self._is_latency:
            unit, digits = "ms", 2
        else:
            return f"{'met' if self.is_met else 'missed'} by {self._amount(gap)}"
        shown, least = f"{gap:.{digits}f} {unit}", f"{10**-digits:.{digits}f} {unit}"
        return f"{'met' if self.is_met else 'missed'} by {shown if float(shown.split()[0]) else f'less than {least}'}"

    @property
    def costs(self) -> tuple[str, str]:
        """The cost before and after, as text."""
        return self._amount(self.dense), self._amount(self.pruned)

    @property
    def share(self) -> str:
        """The pruned network's cost as a share of the dense network's."""
        return f"{self.pruned / max(self.dense, 1e-9):.1%}"

    @property
    def _is_latency(self) -> bool:
        return self.limit.startswith("latency")

    def _amount(self, value: float) -> str:
        if self._is_latency:
            return f"{value:.2f} ms"
        return count(value) + ("B" if self.limit.startswith(("bytes", "activations")) else "")


def show_limit(constraint: str) -> str:
    """Write a limit, or several, as people do: MACs ≤ 50%, latency ≤ 60% in onnxruntime."""
    for name, shown in COSTS.items():
        constraint = constraint.replace(f"{name}<", f"{shown}<")
    return constraint.replace("<=", "\u00a0≤\u00a0").replace(",", ", ").replace("@", " in ")


def headline(model: str, constraint: str, asked: Iterable[Asked]) -> str:
    """Name a result by its model and its limits: "resnet18 at MACs ≤ 60%: met by 0.4 points"."""
    verdicts = ", ".join(f"{one.text}: {one.verdict}" for one in asked)
    return f"{model} at {verdicts or show_limit(constraint)}"
