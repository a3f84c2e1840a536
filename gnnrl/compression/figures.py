"""Figures of a comparison and of a sweep, as SVG files, drawn with the charts of the report."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from gnnrl.compression.comparison import Comparison, Run
from gnnrl.report.axes import HEIGHT, WIDTH, Axes
from gnnrl.report.charts import draw_curve, score_range
from gnnrl.report.elements import element, standalone
from gnnrl.report.names import STAGES
from gnnrl.report.sweep import common_metric

_COLOURS = ("#2670b0", "#c2702a", "#3d8a55", "#b3382f", "#8a5aa8", "#c65f9e", "#5c6670", "#b0902a", "#4a9aa0")
_LINE, _LEGEND = 16, 220
"""Pixels: the height of a line of the legend, and its width."""


def draw_comparison(comparison: Comparison, path: str | Path) -> None:
    """Draw the best reward so far against evaluations and wall time: median and range over the seeds."""
    names = [row.searcher for row in comparison.rows()]
    runs = {name: [found for found in comparison.runs if found.searcher == name] for name in names}
    scores = score_range([score for found in comparison.runs for score in found.best_so_far])
    looks = {name: _look(at, runs[name]) for at, name in enumerate(names)}
    panels = []
    for at, unit in enumerate(("reward evaluations", "seconds")):
        ends = [_places(found, unit)[end] for found in comparison.runs for end in (0, -1)]
        x_range = min(ends), max(*ends, 1.1 * min(ends))
        axes = Axes(x_range, scores, unit, "best reward so far", x_log=unit == "seconds")
        lines = [_race(axes, runs[name], looks[name]) for name in names]
        panels.append(element("g", axes.draw(), *lines, transform=f"translate({at * WIDTH},0)"))
    below = {name for name in names if max(found.best_so_far[-1] for found in runs[name]) < scores[0]}
    legend = {f"{name} (lower)" if name in below else name: looks[name] for name in names}
    _write(path, 2 * WIDTH, panels, legend, f"best reward so far of {', '.join(names)}")


def draw_tradeoff(points: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Draw score against size of `result.point`s: a line for each stage, and the dense network as a level."""
    metric, score = common_metric([point["metric"] for point in points]), points[0]["score"]
    places = [(point["shares"][metric], point["score"]) for point in points]
    *before, last = [STAGES[name] for name in score if name not in ("dense", "pruned")]
    looks = {name: {"class_": "before"} for name in before} | {last: {"class_": "best"}, "dense": {"class_": "dense"}}
    _write(path, WIDTH, [draw_curve(places, score["dense"], "score", metric)], looks, f"score against {metric}")


def _places(found: Run, unit: str) -> Sequence[float]:
    return [max(second, 1e-3) for second in found.seconds] if unit == "seconds" else range(1, len(found.scores) + 1)


def _look(at: int, runs: Sequence[Run]) -> Mapping[str, object]:
    """Return colour and dashes of a searcher; a searcher that does not search is dotted."""
    dashes = "2 4" if len(runs[0].scores) == 1 else "7 3" if at >= len(_COLOURS) else None
    return {"fill": "none", "stroke": _COLOURS[at % len(_COLOURS)], "stroke_width": 1.8, "stroke_dasharray": dashes}


def _race(axes: Axes, runs: Sequence[Run], look: Mapping[str, Any]) -> Markup:
    """Draw medians in a band from the worst to the best seed; a searcher that does not search is a level."""
    places = [axes.x_range if len(found.scores) == 1 else _places(found, axes.x_name) for found in runs]
    first, last = (max(place[end] for place in places) for end in (0, -1))
    grid = np.unique(np.clip(np.concatenate(places), first, last))
    best = np.array(
        [
            np.resize(found.best_so_far, len(place))[np.searchsorted(place, grid, side="right") - 1]
            for found, place in zip(runs, places, strict=True)
        ]
    )
    changes = [0, *(np.flatnonzero(np.diff(best).any(0)) + 1), len(grid) - 1]
    low, middle, high = (axes.stairs(grid[changes], line[changes]) for line in np.quantile(best, (0, 0.5, 1), axis=0))
    band = element("path", d=f"M{'L'.join([*high, *reversed(low)])}Z", fill=look["stroke"], fill_opacity=0.15)
    return band + element("path", d=f"M{'L'.join(middle)}", **look)


def _write(
    path: str | Path, width: int, charts: Iterable[Markup], legend: Mapping[str, Mapping[str, Any]], label: str
) -> None:
    """Write charts with a legend to their right, one line for each name."""
    lines = []
    for y, (name, look) in enumerate(legend.items()):
        lines.append(element("path", d=f"M{width + 6},{30 + _LINE * y}h24", **look))
        lines.append(element("text", name, x=width + 36, y=34 + _LINE * y))
    Path(path).write_text(
        standalone(width + _LEGEND, max(HEIGHT, 30 + _LINE * len(legend)), *charts, *lines, label=label)
    )
