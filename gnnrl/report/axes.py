"""The axes of a chart, as SVG: places of numbers in the picture, and a grid with round numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10

from markupsafe import Markup

from gnnrl.report.elements import element
from gnnrl.report.names import minus

WIDTH, HEIGHT = 440, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 30, 42
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Axes:
    """Ranges and names of the numbers of a chart.

    Attributes:
        x_range, y_range: least and greatest number that is shown, the least one smaller.
        x_name, y_name: their names.
        x_share, y_share: the numbers are shares, shown as percentages.
        x_log: the numbers are positive, and their logarithms are shown at equal distances.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_name: str
    y_name: str
    x_share: bool = False
    y_share: bool = False
    x_log: bool = False

    def x(self, value: float) -> float:
        """Return the distance of a number from the left."""
        low, high = self.x_range
        share = log10(value / low) / log10(high / low) if self.x_log else (value - low) / (high - low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return the distance of a number from the top; numbers out of range lie at the edge."""
        low, high = self.y_range
        return _TOP + (high - min(max(value, low), high)) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    def stairs(self, x: Iterable[float], y: Iterable[float]) -> list[str]:
        """Return the corners of a line that keeps each value until the next place."""
        corners = zip([at for at in x for _ in (0, 1)][1:], [value for value in y for _ in (0, 1)], strict=False)
        return [f"{self.x(at):.1f},{self.y(value):.1f}" for at, value in corners]

    def draw(self, marks: Sequence[float] = ()) -> Markup:
        """Draw the grid, the names and the numbers, which are round ones below the chart if no `marks` are given."""
        levels = [self._level(value) for value in ticks(*self.y_range)]
        below = [
            element("text", show(value, self.x_share), x=self.x(value), y=HEIGHT - _BOTTOM + 18, text_anchor="middle")
            for value in marks or (powers if self.x_log else ticks)(*self.x_range)
        ]
        names = (
            element("text", self.x_name, x=(_LEFT + WIDTH) / 2, y=HEIGHT - 4, text_anchor="middle"),
            element("text", self.y_name, x=4, y=14),
        )
        return Markup("").join((*levels, *below, *names))

    def _level(self, value: float) -> Markup:
        y = self.y(value)
        line = element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
        return line + element("text", show(value, self.y_share), x=_LEFT - 7, y=y + 4, text_anchor="end")


def ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers within a range."""
    raw = (high - low) / _TICKS
    unit = 10 ** floor(log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw)
    first = -(-low // step)
    return [(first + number) * step for number in range(_TICKS + 2) if (first + number) * step <= high]


def powers(low: float, high: float) -> list[float]:
    """Return the powers of ten within a range, with their doubles and fivefold if that makes seven numbers at most."""
    exponents = range(floor(log10(low)), floor(log10(high)) + 1)
    several = [10.0**exponent * factor for exponent in exponents for factor in (1, 2, 5)]
    shown = [value for value in several if low <= value <= high]
    return shown if len(shown) <= 7 else [value for value in several[::3] if low <= value <= high]


def spread(low: float, high: float) -> tuple[float, float]:
    """Return a range with a margin; a single number gets a narrow range."""
    if high - low < 1e-9 * max(abs(high), 1):
        low, high = low - abs(low) * 0.05 - 1e-6, high + abs(high) * 0.05 + 1e-6
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def show(value: float, share: bool) -> str:
    """Write a number as short as possible: 0.25, or 25% if it is a share."""
    digits = f"{100 * value:.4f}" if share else f"{value:.6f}"
    return minus(digits.rstrip("0").rstrip(".") if value else "0") + ("%" if share else "")
