"""The options of width rules, the same for every command: which groups may shrink, and to which widths."""

from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from gnnrl.cli import options
from gnnrl.errors import ConfigError

if TYPE_CHECKING:
    from gnnrl.network.structure import Network
    from gnnrl.pruning.rules import WidthRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Width rules as a command line writes them."""

    min_width: options.MinWidthOption = 1
    round_to: options.RoundToOption = "auto"
    keep: options.KeepOption = ()
    bounds: options.BoundsOption = ()
    only: options.OnlyOption = ()

    def rules(self) -> "WidthRules":
        """Read them.

        Raises:
            ConfigError: a number, a pair of bounds or a kind cannot be read.
        """
        from gnnrl.pruning.rules import WidthRules, parse_bounds

        try:
            multiple = self.round_to if self.round_to == "auto" else int(self.round_to)
        except ValueError:
            raise ConfigError(f"--round-to must be a number such as 8, or auto; got {self.round_to!r}") from None
        return WidthRules(self.min_width, multiple, self.keep, parse_bounds(self.bounds), self.only)  # type: ignore[arg-type]

    def facts(self, network: "Network") -> dict[str, Any]:
        """The rules, what widths are multiples of, and which groups stay whole by which rule."""
        from gnnrl.pruning.rules import describe_rounding

        rules = self.rules()
        return {
            **asdict(self),
            "rounding": describe_rounding(network, rules),
            "fixed": rules.fixed(network),
        }


def show_rules(facts: dict[str, Any]) -> list[str]:
    """Lines that say what the rules do."""
    from gnnrl.network.obstacles import shorten

    lines = [f"Rules: {facts['rounding']}."] if facts["rounding"] else []
    lines += [f"  {rule} fixes {shorten(groups, 'group')}" for rule, groups in facts["fixed"].items()]
    return [part for line in lines for part in wrap(line, 80, subsequent_indent="    ", break_on_hyphens=False)]
