"""Figures of a comparison and of a sweep, as SVG; drawn by matplotlib, an extra."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gnnrl.comparison import Comparison, Run
from gnnrl.imports import require
from gnnrl.report.names import STAGES
from gnnrl.report.sweep import common_metric

_POINTS = 200


def draw_comparison(comparison: Comparison, path: str | Path) -> None:
    """Draw best-so-far against evaluations and against wall time: the median of the seeds, and from worst to best.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", "plot")
    figure_class = require("matplotlib.figure", "plot").Figure
    with matplotlib.rc_context({"svg.hashsalt": "gnnrl", "svg.fonttype": "none"}):
        figure = figure_class(figsize=(10, 4), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for index, row in enumerate(comparison.rows()):
            runs = [found for found in comparison.runs if found.searcher == row.searcher]
            evaluations = [np.arange(1, len(found.scores) + 1, dtype=np.float64) for found in runs]
            seconds = [np.array(found.seconds) for found in runs]
            for axis, positions in zip(axes, (evaluations, seconds), strict=True):
                style = {"label": row.searcher, "color": f"C{index % 10}", "linestyle": "-" if index < 10 else "--"}
                _band(axis, runs, positions, style)
        axes[0].set(xlabel="reward evaluations", ylabel="best reward so far")
        axes[1].set(xlabel="seconds", xscale="log")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
        for axis in axes:
            axis.grid(alpha=0.3)
        figure.savefig(path, format="svg", metadata={"Date": None})


def draw_tradeoff(points: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Draw score against size: a line for each stage that all points have, and the dense network as a level.

    Args:
        points: see `gnnrl.tradeoff.point`.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", "plot")
    figure_class = require("matplotlib.figure", "plot").Figure
    with matplotlib.rc_context({"svg.hashsalt": "gnnrl", "svg.fonttype": "none"}):
        figure = figure_class(figsize=(6, 4), layout="constrained")
        axis = figure.subplots()
        metric = common_metric([point["metric"] for point in points])
        ordered = sorted(points, key=lambda point: float(point["shares"][metric]))
        for index, stage in enumerate(stage for stage in ordered[0]["score"] if stage not in ("dense", "pruned")):
            scores = [point["score"][stage] for point in ordered]
            axis.plot(
                [point["shares"][metric] for point in ordered], scores, "o-", label=STAGES[stage], color=f"C{index}"
            )
        axis.axhline(ordered[0]["score"]["dense"], color="0.4", linestyle=":", label="dense")
        axis.set(xlabel=f"{metric}, share of the dense network", ylabel="score")
        axis.xaxis.set_major_formatter(require("matplotlib.ticker", "plot").PercentFormatter(1))
        axis.legend(fontsize="small")
        axis.grid(alpha=0.3)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _band(axis: Any, runs: Sequence[Run], positions: Sequence[Any], style: dict[str, str]) -> None:
    """A line of medians in a band; a searcher without a search is one point, drawn as a level."""
    if max(len(found.scores) for found in runs) == 1:
        axis.axhline(float(np.median([found.scores[0] for found in runs])), **{**style, "linestyle": ":"})
        return
    first, last = max(float(x[0]) for x in positions), max(float(x[-1]) for x in positions)
    grid = np.geomspace(first, last, _POINTS)
    best = np.array(
        [
            np.array(found.best_so_far)[np.searchsorted(x, grid * (1 + 1e-9), side="right") - 1]
            for found, x in zip(runs, positions, strict=True)
        ]
    )
    axis.step(grid, np.median(best, 0), where="post", **style)
    axis.fill_between(grid, best.min(0), best.max(0), step="post", color=style["color"], alpha=0.15, linewidth=0)
