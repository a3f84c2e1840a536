"""Charts of a search, as SVG: what each plan scored, and how plans differ."""

import base64
import io
from collections.abc import Sequence
from itertools import accumulate
from math import floor, log10

import numpy as np
from markupsafe import Markup
from PIL import Image

from gnnrl.report.elements import element, picture, title
from gnnrl.report.record import Judged, Width

_WIDTH, _HEIGHT = 440, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 30, 42
_MOST_POINTS = 1500
_TICKS = 5


def draw_search(trials: Sequence[Judged], reward: str) -> Markup:
    """Draw all plans as points and the best so far as a line, against evaluations."""
    scores = [trial.score for trial in trials]
    best = list(accumulate(scores, max))
    low, high = _range(scores)
    last = max(len(trials), 2)

    def x(number: float) -> float:
        return _LEFT + (number - 1) / (last - 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(score: float) -> float:
        return _TOP + (high - min(max(score, low), high)) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    step = -(-len(trials) // _MOST_POINTS)
    points = [
        element("circle", title(f"plan {n}: {scores[n - 1]:.4g}"), cx=x(n), cy=y(scores[n - 1]), r=2.6, class_="point")
        for n in range(1, len(trials) + 1, step)
    ]
    path = f"M{x(1):.1f},{y(best[0]):.1f}"
    for number, score in enumerate(best[1:], 2):
        if score > best[number - 2] or number == len(best):
            path += f"H{x(number):.1f}" + (f"V{y(score):.1f}" if score > best[number - 2] else "")
    grid = [_level(y(tick), _tick(tick)) for tick in _ticks(low, high)]
    numbers = sorted({1, *(int(tick) for tick in _ticks(1, last) if tick >= 1 and tick == int(tick)), len(trials)})
    shown = [n for n in numbers if n in (1, len(trials)) or min(n - 1, len(trials) - n) > last / 10]
    marks = [element("text", n, x=x(n), y=_HEIGHT - _BOTTOM + 18, text_anchor="middle") for n in shown]
    line = element("path", d=path, class_="best")
    names = (
        element("text", "plans judged", x=(_LEFT + _WIDTH) / 2, y=_HEIGHT - 4, text_anchor="middle"),
        element("text", reward, x=4, y=14),
    )
    label = f"{reward} of {len(trials)} plans; the best {max(scores):.4g}"
    return picture(_WIDTH, _HEIGHT, *grid, *marks, *names, *points, line, label=label, class_="chart")


def _range(scores: Sequence[float]) -> tuple[float, float]:
    """What the axis shows: all plans but far outliers below, which are drawn at its foot."""
    high, low = max(scores), min(scores)
    quarter, half = np.quantile(scores, [0.1, 0.5])
    low = max(low, float(half - 4 * max(half - quarter, (high - half), 1e-12)))
    if high - low < 1e-9 * max(abs(high), 1):
        low, high = low - abs(low) * 0.05 - 1e-6, high + abs(high) * 0.05 + 1e-6
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers within a range, about five."""
    raw = (high - low) / _TICKS
    unit = 10 ** floor(log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw)
    first = -(-low // step)
    return [(first + number) * step for number in range(_TICKS + 2) if (first + number) * step <= high]


def _tick(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".").replace("-", "−") if value else "0"


def _level(y: float, text: str) -> Markup:
    line = element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
    return line + element("text", text, x=_LEFT - 7, y=y + 4, text_anchor="end")


def draw_plans(trials: Sequence[Judged], widths: Sequence[Width]) -> Markup:
    """Draw what every plan keeps: a row for each group, a column for each plan, from the worst to the best.

    The picture is a PNG whose opacity is the share that is kept, so it follows the colours of the page.
    """
    ranked = sorted(trials, key=lambda trial: trial.score)
    shares = np.array([trial.widths for trial in ranked], np.float64).T / np.array([[row.dense] for row in widths])
    alpha = np.round(255 * np.clip(shares, 0, 1)).astype(np.uint8)
    pixels = np.zeros((*alpha.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = (38, 112, 176), alpha
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    text = f"share kept in each of {len(widths)} groups by {len(trials)} plans"
    return (
        element("span", class_="heat")
        if not alpha.size
        else Markup('<img class="heat" src="{}" alt="{}">').format(source, text)
    )
