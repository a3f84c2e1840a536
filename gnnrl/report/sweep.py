"""The report of a sweep: accuracy against size, as a curve and a row for each limit, as one page.

It is made of `sweep.json`, which is saved next to the results. That file is checked when it is read, as a record is.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import Field

from gnnrl.errors import ArtifactError
from gnnrl.report.charts import draw_curve
from gnnrl.report.names import STAGES, count, metric_name, plural, sampling_error, score
from gnnrl.report.page import Tile, style, templates
from gnnrl.report.record import Change, Part
from gnnrl.storage.layout import SWEEP

_SIZES = {"macs": "MACs", "params": "parameters", "bytes": "bytes", "activations": "activations", "latency": "latency"}


class Facts(Part):
    """Facts of the result of one point."""

    model: str
    data: str = ""
    test_images: int = Field(default=0, ge=0)
    macs: Change
    params: Change
    file_bytes: Change
    latency_ms: Change


class Point(Part):
    """A network of the sweep.

    Attributes:
        shares: its sizes as shares of the dense network, by metric.
        metric: what its limit is of.
        out: where it is saved.
    """

    constraint: str
    metric: str
    shares: dict[str, float]
    score: dict[str, float]
    kept: str = ""
    out: str = ""
    facts: Facts

    @property
    def final(self) -> float:
        """Score of the network that was saved."""
        return self.score.get(self.kept, list(self.score.values())[-1])


class Sweep(Part):
    """The points of a sweep that are done."""

    points: tuple[Point, ...] = Field(min_length=1)

    @property
    def metric(self) -> str:
        """The cost that sizes are of: the metric of all limits, MACs where they differ."""
        return common_metric([point.metric for point in self.points])


def common_metric(metrics: list[str]) -> str:
    """Return the metric that all limits share; MACs if they differ."""
    return metrics[0] if len(set(metrics)) == 1 else "macs"


def read_sweep(directory: str | Path) -> Sweep:
    """Read the sweep of a directory.

    Raises:
        ArtifactError: the directory has no sweep, or the sweep is damaged.
    """
    path = Path(directory) / SWEEP
    try:
        return parse_sweep(path.read_text())
    except (OSError, ValueError, TypeError, RecursionError, KeyError) as error:
        raise ArtifactError(f"{path} is not a sweep: {error}") from error


def parse_sweep(text: str) -> Sweep:
    """Read the text of a `sweep.json`.

    Raises:
        ValueError: it is not a sweep.
    """
    sweep = Sweep.model_validate(json.loads(text))
    first = sweep.points[0]
    for point in sweep.points:
        if list(point.score) != list(first.score) or not {"dense"} < point.score.keys() <= STAGES.keys():
            raise ValueError(f"{point.constraint} has other stages than {first.constraint}")
        if sweep.metric not in point.shares:
            raise ValueError(f"{point.constraint} does not say its {sweep.metric}")
    return sweep


def render_sweep(sweep: Sweep) -> str:
    """Write the page; it links to the reports of the results, and asks for nothing itself."""
    first, size = sweep.points[0], _SIZES.get(sweep.metric, sweep.metric)
    dense, images = first.score["dense"], first.facts.test_images
    points = [(point.shares[sweep.metric], point.score) for point in sweep.points]
    error = sampling_error(min(max(dense, 0.0), 1.0), max(images, 1))
    return (
        templates()
        .get_template("sweep.html")
        .render(
            style=style(),
            title=f"{first.facts.model} at {plural(len(points), 'limit')}",
            lead=f"{score(dense, 'top1')} {metric_name('top1')} dense, on {plural(images, 'test image')}: "
            f"an accuracy may lie {100 * error:.2g} points off (95% interval), so smaller differences say little.",
            tiles=list(_tiles(sweep)),
            curve=draw_curve(points, dense, "top1", size),
            stages=[STAGES[name] for name in first.score if name not in ("dense", "pruned")],
            last=STAGES[list(first.score)[-1]],
            size=size,
            rows=list(_rows(sweep)),
        )
    )


def _tiles(sweep: Sweep) -> Iterator[Tile]:
    for point in sorted(sweep.points, key=lambda point: -point.shares[sweep.metric]):
        lost = point.score["dense"] - point.final
        change = f"{100 * abs(lost):.1f} points {'gained' if lost < 0 else 'lost'}"
        yield Tile(f"{point.shares[sweep.metric]:.1%} left", score(point.final, "top1"), change)


def _rows(sweep: Sweep) -> Iterator[dict[str, object]]:
    first = sweep.points[0].facts
    stages = [name for name in sweep.points[0].score if name not in ("dense", "pruned")]
    sizes = [count(first.macs.dense), count(first.params.dense), f"{count(first.file_bytes.dense)}B"]
    level = score(sweep.points[0].score["dense"], "top1")
    yield {
        "limit": "dense",
        "link": "",
        "cells": ["100%", *sizes, f"{first.latency_ms.dense:.2f}", *[level] * len(stages)],
    }
    for point in sweep.points:
        facts = point.facts
        sizes = [count(facts.macs.pruned), count(facts.params.pruned), f"{count(facts.file_bytes.pruned)}B"]
        scores = [score(point.score[name], "top1") for name in stages]
        yield {
            "limit": point.constraint,
            "link": f"{PurePosixPath(point.out).name}/report.html" if point.out else "",
            "cells": [f"{point.shares[sweep.metric]:.1%}", *sizes, f"{facts.latency_ms.pruned:.2f}", *scores],
        }
