"""The report of a sweep: accuracy against size, as a curve and a row for each limit, as one page.

It is made of `sweep.json`, which is saved next to the results. That file is checked when it is read, as a record is.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import Field

from gnnrl.errors import ArtifactError
from gnnrl.report.charts import draw_curve
from gnnrl.report.elements import fill
from gnnrl.report.limits import COSTS, Asked, show_limit
from gnnrl.report.names import STAGES, metric_name, plural, sampling_error, score
from gnnrl.report.page import Tile
from gnnrl.report.record import Change, Part
from gnnrl.storage.layout import REPORT, SWEEP


class Facts(Part):
    """Facts of the result of one point; older sweeps do not have the limits."""

    model: str
    data: str = ""
    test_images: int = Field(default=0, ge=0)
    macs: Change
    params: Change
    file_bytes: Change
    latency_ms: Change
    limits: tuple[Asked, ...] = ()


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

    @property
    def verdict(self) -> str:
        """Say whether each limit is met, and by how much."""
        return ", ".join(asked.verdict for asked in self.facts.limits)

    @property
    def link(self) -> str:
        """The report of the network, from the page of the sweep."""
        return f"{PurePosixPath(self.out).name}/{REPORT}" if self.out else ""


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
    """Read the sweep of a directory; raise ArtifactError if it has none, or a damaged one."""
    path = Path(directory) / SWEEP
    try:
        return parse_sweep(path.read_text())
    except (OSError, ValueError, TypeError, RecursionError, KeyError) as error:
        raise ArtifactError(f"{path} is not a sweep: {error}") from error


def parse_sweep(text: str) -> Sweep:
    """Read the text of a `sweep.json`; raise ValueError if it is not a sweep."""
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
    first, size = sweep.points[0], COSTS.get(sweep.metric, sweep.metric)
    dense, images = first.score["dense"], first.facts.test_images
    error = sampling_error(min(max(dense, 0.0), 1.0), max(images, 1))
    return fill(
        "sweep.html",
        title=_headline(sweep),
        lead=f"{score(dense, 'top1')} {metric_name('top1')} dense, on {plural(images, 'test image')}: "
        f"an accuracy may lie {100 * error:.2g} points off (95% interval), so smaller differences say little.",
        tiles=list(_tiles(sweep)),
        curve=draw_curve([(point.shares[sweep.metric], point.score) for point in sweep.points], dense, "top1", size),
        stages=[name for name in first.score if name not in ("dense", "pruned")],
        size=size,
        sweep=sweep,
    )


def _headline(sweep: Sweep) -> str:
    """Name the sweep, and say which limits are missed."""
    name = f"{sweep.points[0].facts.model} at {plural(len(sweep.points), 'limit')}"
    asked = [asked for point in sweep.points for asked in point.facts.limits]
    missed = ", ".join(f"{one.text} {one.verdict}" for one in asked if not one.is_met)
    return f"{name}: {missed or ('all met' if len(asked) > 1 else 'met')}" if asked else name


def _tiles(sweep: Sweep) -> Iterator[Tile]:
    for point in sorted(sweep.points, key=lambda point: -point.shares[sweep.metric]):
        lost = point.score["dense"] - point.final
        change = f"{100 * abs(lost):.1f} points {'gained' if lost < 0 else 'lost'}"
        name = ": ".join(filter(None, (show_limit(point.constraint), point.verdict)))
        yield Tile(name, score(point.final, "top1"), f"{change}, {point.shares[sweep.metric]:.1%} left")
