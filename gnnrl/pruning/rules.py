"""Width rules: from the rules of a user to one ascending ladder of allowed widths for each group.

A rule applies to all groups (`min_width`, `round_to`) or to those that a pattern names (`keep`, `bounds`). A pattern
such as `layer4`, `layer4.*` or `*.mlp.*` names a group by the group's name, by a module that computes its channels, or
by a module around it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import reduce
from math import ceil, floor, gcd
from typing import Literal, get_args

import numpy as np

from gnnrl.errors import ConfigError, choices, question
from gnnrl.network.labels import Component
from gnnrl.network.structure import Group, Network

Size = int | float | None
Bound = tuple[Size, Size]
Multiple = int | Literal["auto"]
Kind = Literal["channels", "heads", "hidden", "stream"]
KINDS = get_args(Kind)
_MULTIPLES = ((128, 16), (64, 8))


@dataclass(frozen=True, slots=True)
class WidthRules:
    """The widths that a plan may choose.

    Attributes:
        min_width: smallest width of every group; a smaller group stays whole.
        round_to: number of channels of which widths are multiples if the group is large enough. The dense width is
            always allowed. "auto" chooses for each group (`auto_multiple`) and allows every smaller width, so that it
            puts no limit out of reach. If no multiple lies within `bounds`, every width within them is allowed.
        keep: patterns of groups that stay whole.
        bounds: pattern -> (lowest, highest) width; floats are shares of the dense width, integers are widths as
            `inspect` shows them, None means unbounded. If several patterns name a group, all of them hold.
        only: kinds of groups that may shrink ("channels", "heads", "hidden", "stream"); all if it is empty.
    """

    min_width: int = 1
    round_to: Multiple = "auto"
    keep: tuple[str, ...] = ()
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    only: tuple[Kind, ...] = ()

    def __post_init__(self) -> None:
        if self.min_width < 1:
            raise ConfigError(f"min_width must be at least 1, got {self.min_width}")
        if self.round_to != "auto" and (not isinstance(self.round_to, int) or self.round_to < 1):
            raise ConfigError(f"round_to must be at least 1 or 'auto', got {self.round_to!r}")
        for pattern, bound in self.bounds.items():
            _check_bound(pattern, bound)
        for kind in self.only:
            if kind not in KINDS:
                raise ConfigError(f"only {kind!r} is not a kind of groups; {choices(kind, KINDS)}")

    def ladders(self, network: Network) -> list[Component]:
        """Return the allowed widths of every group, ascending.

        Raises:
            ConfigError: a pattern that names no layer, or rules that leave a group no width.
        """
        for pattern in self.keep:
            _require_match("keep", pattern, network, (*network.groups, *network.frozen))
        for pattern, bound in self.bounds.items():
            _require_match("bounds", pattern, network, (*network.groups, *network.frozen))
            _require_free(pattern, network)
            _require_units(pattern, bound, network)
        _require_kinds(self.only, network)
        return [self._ladder(group) for group in network.groups]

    def multiple(self, group: Group) -> int:
        """Return the multiple for the width of a group, in its own units (heads, channels)."""
        each = channels_per_unit(group)
        wanted = auto_multiple(group.size * each) if self.round_to == "auto" else self.round_to
        return wanted // gcd(wanted, each)

    def fixed(self, network: Network) -> dict[str, list[str]]:
        """Return the groups that have only one width, by the rule that fixes it."""
        found: dict[str, list[str]] = {}
        for group, ladder in zip(network.groups, self.ladders(network), strict=True):
            if len(ladder) == 1 and group.size > 1:
                found.setdefault(self._fixing(group), []).append(group.name)
        return found

    def _fixing(self, group: Group) -> str:
        for pattern in self.keep:
            if matches(group, pattern):
                return f"keep {pattern!r}"
        if self.only and group.kind not in self.only:
            return f"only {', '.join(self.only)}"
        for pattern, bound in self.bounds.items():
            if matches(group, pattern):
                return f"bounds {pattern}={show_bound(bound)}"
        return f"min_width {self.min_width}" if group.size <= self.min_width else f"round_to {self.round_to}"

    def _ladder(self, group: Group) -> Component:
        kept = any(matches(group, pattern) for pattern in self.keep)
        if kept or (self.only and group.kind not in self.only):
            return np.array([group.size])
        low, high = min(self.min_width, group.size), group.size
        given = [pattern for pattern in self.bounds if matches(group, pattern)]
        for pattern in given:
            lowest, highest = (
                _width(value, group, side) for value, side in zip(self.bounds[pattern], (ceil, floor), strict=True)
            )
            low, high = max(low, lowest or 1), min(high, highest or group.size)
        if low > high:
            rules = " and ".join(f"bounds {pattern}={show_bound(self.bounds[pattern])}" for pattern in given)
            least = f" with min_width {self.min_width}" if self.min_width > 1 else ""
            raise ConfigError(f"{rules}{least} leave no width for {group.name}, which has {group.size}; widen them")
        widths = np.arange(low, high + 1)
        multiple = self.multiple(group)
        small = (widths < multiple) & (self.round_to == "auto")
        allowed = widths[(widths % multiple == 0) | (widths == group.size) | small]
        return allowed if len(allowed) else widths


def auto_multiple(channels: int) -> int:
    """Return the multiple of `round_to="auto"` for this many channels: 16 from 128 channels, 8 from 64, else 1.

    Inference engines compute blocks of 8 or 16 channels: with odd widths a network of half the MACs can be slower than
    the dense one. Measured by `benchmarks/onnx_parity.py`, see docs/decisions.md.
    """
    return next((multiple for least, multiple in _MULTIPLES if channels >= least), 1)


def channels_per_unit(group: Group) -> int:
    """Return the number of channels of one unit in every layer: 1, or the width of an attention head."""
    return reduce(gcd, (place.positions.shape[1] for place in group.places), 0) or 1


def describe_rounding(network: Network, rules: WidthRules) -> str:
    """Describe the multiples of the widths, and the number of groups that stay whole, in one sentence."""
    pairs = zip(network.groups, rules.ladders(network), strict=True)
    steps = Counter(_step(ladder, rules.multiple(group)) for group, ladder in pairs)
    whole = steps.pop(0, 0)
    also = " (or smaller)" if rules.round_to == "auto" else ""
    parts = [f"of {step}{also if step > 1 else ''} in {_groups(steps[step])}" for step in sorted(steps, reverse=True)]
    said = f"widths are multiples {', '.join(parts)}" if parts else ""
    stays = f"{_groups(whole)} {'stays' if whole == 1 else 'stay'} whole" if whole else ""
    return "; ".join(part for part in (said, stays) if part)


def matches(group: Group, pattern: str) -> bool:
    """Return True if a pattern names the group, a module that computes its channels, or a module around one."""
    return fnmatchcase(group.name, pattern) or any(fnmatchcase(name, pattern) for name in _homes(group))


def parse_bounds(texts: Iterable[str]) -> dict[str, Bound]:
    """Parse bounds of the command line: `layer4.*=0.3:0.8` (shares), `layer1=16:64`, `fc1=:50%`.

    Raises:
        ConfigError: not bounds, or two bounds of one pattern.
    """
    found: dict[str, Bound] = {}
    for text in texts:
        pattern, equals, numbers = text.rpartition("=")
        low, colon, high = numbers.partition(":")
        if not (pattern and equals and colon):
            raise ConfigError(f"bounds {text!r} cannot be read; {_EXAMPLE}")
        if pattern in found:
            raise ConfigError(f"bounds of {pattern!r} are given twice; write both sides as {pattern}=LOW:HIGH")
        found[pattern] = (_number(low, text), _number(high, text))
        _check_bound(pattern, found[pattern])
    return found


def show_bound(bound: Bound) -> str:
    """Format bounds as `parse_bounds` reads them."""
    return ":".join("" if value is None else str(value) for value in bound)


_EXAMPLE = "write PATTERN=LOW:HIGH, for example layer4.*=0.3:0.8 (shares of the width) or layer4.*=16:64 (channels)"


def _number(text: str, whole: str) -> Size:
    if not text.strip():
        return None
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return float(text) if "." in text else int(text)
    except ValueError:
        raise ConfigError(f"{text!r} in bounds {whole!r} is not a number; {_EXAMPLE}") from None


def _check_bound(pattern: str, bound: Bound) -> None:
    shown = f"bounds {pattern}={show_bound(bound)}"
    low, high = bound
    if low is None and high is None:
        raise ConfigError(f"{shown} bound nothing; {_EXAMPLE}")
    if 1 in bound and any(isinstance(value, float) for value in bound) and any(type(value) is int for value in bound):
        raise ConfigError(f"{shown}: 1 is one channel next to a share of the width; write 1.0 or 100% for all")
    for value in bound:
        if isinstance(value, int):
            if value < 1:
                raise ConfigError(f"{shown}: a width must be at least 1")
        elif value is not None and not 0 < value <= 1:
            raise ConfigError(f"{shown}: a share must be above 0 and at most 1; channels are written without a point")
    if low is not None and high is not None and type(low) is type(high) and low > high:
        raise ConfigError(f"{shown}: the lowest is above the highest; swap them")


def _width(value: Size, group: Group, side: Callable[[float], int]) -> int | None:
    if isinstance(value, float):
        return max(side(value * group.size + (1e-9 if side is floor else -1e-9)), 1)
    return None if value is None else min(value, group.size)


def _step(ladder: Component, multiple: int) -> int:
    """Return the common divisor of the widths from the multiple on, without the widest; 0 for a single width."""
    large = ladder[:-1][ladder[:-1] >= multiple]
    return int(np.gcd.reduce(large)) if len(large) else min(len(ladder) - 1, 1)


def _groups(count: int) -> str:
    return f"{count} group{'s' if count > 1 else ''}"


def _homes(group: Group) -> list[str]:
    """Return the modules that compute a group's channels, and all modules around them."""
    modules = {place.tensor.rpartition(".")[0] for place in group.places if place.dim == 0}
    parts = [module.split(".") for module in modules if module]
    return sorted({".".join(names[: end + 1]) for names in parts for end in range(len(names))})


def _require_match(rule: str, pattern: str, network: Network, groups: Sequence[Group]) -> None:
    if any(matches(group, pattern) for group in groups):
        return
    known = list(dict.fromkeys(name for group in groups for name in (group.name, *_homes(group))))
    hint = question(pattern, known, most=3) or "gnnrl inspect lists the names"
    raise ConfigError(f"{rule} pattern {pattern!r} matches no layer of {network.model_class}; {hint}")


def _require_free(pattern: str, network: Network) -> None:
    if any(matches(group, pattern) for group in network.groups):
        return
    group = next(group for group in network.frozen if matches(group, pattern))
    raise ConfigError(
        f"bounds pattern {pattern!r} matches only layers that stay whole: {group.name}, because {group.reasons[0]}; "
        "remove these bounds"
    )


def _require_units(pattern: str, bound: Bound, network: Network) -> None:
    """Refuse a lowest width in channels for units of several channels: bounds count units."""
    low, high = bound
    groups = [group for group in network.groups if matches(group, pattern)]
    if isinstance(low, int) and all(group.size < low and channels_per_unit(group) > 1 for group in groups):
        first = groups[0]
        each = max(place.positions.shape[1] for place in first.places)
        meant = (max(low // each, 1), max(high // each, 1) if isinstance(high, int) else high)
        raise ConfigError(
            f"bounds {pattern}={show_bound(bound)}: {first.name} has {first.size} units of {each} channels, which only "
            f"go together, and bounds count units; write {pattern}={show_bound(meant)}"
        )


def _require_kinds(only: Sequence[str], network: Network) -> None:
    there = Counter(group.kind for group in network.groups)
    if only and not any(there[kind] for kind in only):
        found = ", ".join(f"{_groups(count)} of kind {kind}" for kind, count in there.items())
        raise ConfigError(
            f"only {', '.join(only)}: {network.model_class} has no such group that can shrink; it has {found or 'none'}"
        )
