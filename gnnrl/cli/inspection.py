"""The parts of a network that can shrink under the rules of a user, and the limit that can be met."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from textwrap import wrap

import typer

from gnnrl.cli.command import Outcome
from gnnrl.cli.console import plain
from gnnrl.cli.width_rules import Widths
from gnnrl.network.cost import Budget
from gnnrl.network.description import Description
from gnnrl.network.obstacles import shorten
from gnnrl.network.structure import Network
from gnnrl.pruning.rules import describe_rounding


@dataclass(frozen=True, kw_only=True)
class Applied(Widths):
    """Width rules, with their effect on one network.

    Attributes:
        rounding: a sentence that says what widths are multiples of.
        fixed: the groups that each rule keeps whole.
    """

    rounding: str
    fixed: dict[str, list[str]]

    @classmethod
    def to(cls, network: Network, widths: Widths) -> "Applied":
        """Apply rules to a network."""
        rules = widths.rules()
        return cls(**asdict(widths), rounding=describe_rounding(network, rules), fixed=rules.fixed(network))


@dataclass(frozen=True, kw_only=True)
class Inspected(Outcome):
    """The description of a network, the effect of the width rules, and the limit that can be met."""

    model: str
    constraint: str | None
    budget: Budget | None
    description: Description
    rules: Applied

    def facts(self) -> Mapping[str, object]:
        """Return the facts of the description, with the rules and the limits."""
        limits = dict(self.budget.limits) if self.budget else None
        return {"model": self.model, **self.description.to_dict(), "rules": asdict(self.rules), "limits": limits}

    def sentences(self) -> list[str]:
        """Return what is printed below the description."""
        found = [f"Rules: {self.rules.rounding}."] if self.rules.rounding else []
        found += [f"  {rule} fixes {shorten(groups, 'group')}" for rule, groups in self.rules.fixed.items()]
        return found + ([f"The limit {self.constraint} ({self.budget}) can be met."] if self.budget else [])

    def show(self) -> None:
        """Print everything in 80 columns."""
        lines = [
            part
            for sentence in self.sentences()
            for part in wrap(sentence, 80, subsequent_indent="    ", break_on_hyphens=False)
        ]
        typer.echo(plain("\n".join([str(self.description), *([""] if lines else []), *lines])))
