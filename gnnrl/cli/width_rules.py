"""Width rules as options of the command line."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from gnnrl.cli.options import widths
from gnnrl.errors import ConfigError

if TYPE_CHECKING:
    from gnnrl.pruning.rules import WidthRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """The width rules that a user gives; each field is an option."""

    min_width: Annotated[int, widths("Channels that every layer keeps at least.", min=1)] = 1
    round_to: Annotated[
        str,
        widths(
            "Widths are multiples of this; auto: of 16 from 128 channels, of 8 from 64, else of 1.", metavar="N|auto"
        ),
    ] = "auto"
    keep: Annotated[
        tuple[str, ...],
        widths("Layers to leave whole, e.g. layer4, features.3 or '*.mlp.*'. Repeatable.", metavar="PATTERN"),
    ] = ()
    bounds: Annotated[
        tuple[str, ...],
        widths(
            "Smallest and largest width, as shares ('layer4.*=0.3:0.8') or channels ('layer4=16:64'). Repeatable.",
            metavar="PATTERN=LOW:HIGH",
        ),
    ] = ()
    only: Annotated[
        tuple[str, ...],
        widths(
            "Kind of group to shrink: heads (of attention), hidden (of feed-forward blocks), stream (residual) or "
            "channels (others). Repeatable.",
            metavar="KIND",
        ),
    ] = ()

    def rules(self) -> "WidthRules":
        """Return the rules of the options; raise ConfigError if one cannot be read."""
        from gnnrl.pruning.rules import WidthRules, parse_bounds

        try:
            multiple = self.round_to if self.round_to == "auto" else int(self.round_to)
        except ValueError:
            raise ConfigError(f"--round-to must be a number such as 8, or auto; got {self.round_to!r}") from None
        return WidthRules(self.min_width, multiple, self.keep, parse_bounds(self.bounds), self.only)  # type: ignore[arg-type]

    def check(self, constraint: str | None) -> None:
        """Refuse a limit or rules that cannot be read; raises ConfigError."""
        from gnnrl.network.limits import Constraint

        if constraint is not None:
            Constraint.parse(constraint)
        self.rules()
