"""Limits on costs, as people write them: `macs<=50%`, `params<=1.5M`, `latency<=60%@onnxruntime:int8`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gnnrl.errors import ConfigError, question

COSTS = ("macs", "params", "bytes", "activations", "latency")
_SUFFIX = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_OF_BYTES = ("kb", "mb", "gb")
_LIMIT = r"([a-z_]+)\s*<=?\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*(%|ms|us|s|[kmg]b|[kmgb]?)(?:\s*@\s*(\S+))?"
_SMALLEST_SIZE = 100
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def show_amount(metric: str, amount: float) -> str:
    """Write an amount of a cost."""
    return f"{amount:.4g}ms" if metric == "latency" else f"{amount:,.0f}"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit on one cost, as a share of the dense network or an amount: `macs<=50%`, `params<=1.5M`, `latency<=5ms`.

    Attributes:
        limit: a percentage, an amount, or milliseconds of latency.
        engine: the engine whose latency is limited, and its precision: the part after `@` in
            `latency<=60%@onnxruntime:int8`; "" is PyTorch as it is. A share is one of the dense network's latency in
            the same engine in fp32.
    """

    metric: str
    limit: float
    relative: bool
    engine: str = ""

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
        return f"{self.metric}<={shown}{self.engine and f'@{self.engine}'}"


def name_limit(constraint: str) -> str:
    """Return a name for a folder: `macs-50` for `macs<=50%`, `latency-5ms-openvino` for `latency<=5ms@openvino`.

    Raises:
        ConfigError: the text is not a limit.
    """
    parts = (str(part).replace("%", "").replace(",", "") for part in Constraint.parse(constraint))
    return "-".join(re.sub(r"<=|[^\w.]+", "-", part) for part in parts)


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
    metric, number, unit, engine = match[1].lower(), match[2], match[3].lower(), match[4] or ""
    if metric == "flops" and unit == "%":
        metric = "macs"
    if metric == "flops":
        raise ConfigError(f"{text!r}: a number of FLOPs is ambiguous (one MAC is two); limit macs instead, or a share")
    if metric not in COSTS:
        hint = question(metric, COSTS)
        raise ConfigError(f"{text!r} limits {metric!r}, which is not a cost; {hint and f'{hint} Or '}{example}")
    if engine and metric != "latency":
        raise ConfigError(f"{text!r}: only latency depends on an engine; leave out @{engine}, or limit latency")
    try:
        limit = float(number)
    except ValueError:
        raise ConfigError(f"{number!r} in {text!r} is not a number; {example}") from None
    if unit == "%":
        if not 0 < limit < 100:
            raise ConfigError(f"{text!r}: a share must be above 0% and below 100%; {example}")
        return Constraint(metric, limit, True, engine)
    if limit == float("inf"):
        raise ConfigError(f"{text!r}: {number} is too large a number; {example}")
    if (metric == "latency") != (unit in _MILLISECONDS):
        raise ConfigError(f"{text!r}: only latency, and always latency, has a unit of time (us, ms, s); {example}")
    if metric == "latency" and limit > 0:
        return Constraint(metric, limit * _MILLISECONDS[unit], False, engine)
    if unit in _OF_BYTES:
        if metric not in ("bytes", "activations"):
            raise ConfigError(f"{text!r}: {metric} are not counted in bytes; {example}")
        unit = unit[0]
    if limit * _SUFFIX.get(unit, 0) <= (1 if unit else _SMALLEST_SIZE):
        meant = f"did you mean {metric}<={number}%? Or " if 1 <= limit < 100 and not unit else ""
        raise ConfigError(f"{text!r}: {number} without a unit is neither a share nor a size; {meant}{example}")
    return Constraint(metric, limit * _SUFFIX[unit], False)
