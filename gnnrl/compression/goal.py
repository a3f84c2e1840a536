"""A goal: one limit on one network, parsed, checked and projected once."""

import warnings
from dataclasses import dataclass

from gnnrl.errors import ConfigError, GnnrlWarning
from gnnrl.network.limits import Constraint
from gnnrl.network.structure import Network
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from gnnrl.pruning.unreachable import explain_met


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit that plans of one network must meet; made by `Study.goal`.

    Attributes:
        constraint: the limit as the user wrote it, such as `macs<=50%`.
        projection: the projection from wishes to plans within the limit.
        latency: the limit on latency, None if there is none.
    """

    constraint: str
    projection: Projection
    latency: Constraint | None

    @classmethod
    def of(cls, constraint: str, limits: tuple[Constraint, ...], network: Network, rules: WidthRules) -> "Goal":
        """Check that the limits can be met; the error names the smallest possible limit."""
        latency = next((limit for limit in limits if limit.metric == "latency"), None)
        return cls(constraint, Projection.build(network, limits, rules), latency)

    @property
    def network(self) -> Network:
        """The network to prune, with its latency if that is limited."""
        return self.projection.network

    def explain_met(self) -> str | None:
        """Say how far the dense network is within the limit; None if it is not."""
        is_met = self.projection.holds(self.network.widths)
        return explain_met(self.network, self.projection.budget) if is_met else None

    def check(self, network: Network) -> None:
        """Refuse a network that the goal was not made for; warn if it is within the limit already."""
        if network.fingerprint != self.network.fingerprint:
            raise ConfigError(
                f"the goal {self.constraint} was made for another network ({self.network.model_class}); make it with "
                "the goal() of this study"
            )
        if met := self.explain_met():
            warnings.warn(met, GnnrlWarning, stacklevel=5)
