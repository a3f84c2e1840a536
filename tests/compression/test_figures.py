"""Figures of comparisons and sweeps."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from gnnrl.compression.comparison import Comparison, Run
from gnnrl.compression.figures import draw_comparison, draw_tradeoff
from gnnrl.compression.result import point
from tests.compression.tiny import LIMITS, compared, swept


def test_a_figure_shows_every_searcher(tmp_path: Path) -> None:
    result = compared()
    draw_comparison(result, tmp_path / "one.svg")
    draw_comparison(result, tmp_path / "two.svg")
    text = (tmp_path / "one.svg").read_text()

    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert all(name in text for name in ("evolution", "random", "uniform", "reward evaluations", "seconds"))
    assert text == (tmp_path / "two.svg").read_text()


def test_a_figure_draws_the_median_in_a_band_from_worst_to_best(tmp_path: Path) -> None:
    """Two seeds: their best rewards are 1, 3, 3, ... and 2, 2, 2, ..., so that the medians are 1.5, 2.5, 2.5, ..."""
    more = 18
    runs = [
        Run("mine", 0, (1.0, 3.0, *[2.0] * more), (1.0, 10.0, *[100.0] * more), ()),
        Run("mine", 1, (2.0, 1.0, *[1.0] * more), (1.0, 1.0, *[100.0] * more), ()),
        Run("level", 0, (-50.0,), (1.0,), ()),
    ]
    draw_comparison(Comparison({}, {}, (("mine", 0), ("mine", 1), ("level", 0)), runs), tmp_path / "one.svg")
    text = (tmp_path / "one.svg").read_text()
    lines, bands = (
        [[(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", path)] for path in re.findall(kind, text)]
        for kind in (r'd="M([\d.,L]*)"', r'd="M([\d.,L]*)Z"')
    )

    shares = (1 / 19, 1 / 2)  # the logarithm of 10 is half that of 100
    for line, band, share in zip(lines[::2], bands[::2], shares, strict=True):
        three, two, one = sorted({y for _, y in band})
        assert sorted({y for _, y in line}) == pytest.approx([(three + two) / 2, (two + one) / 2], abs=0.1)
        (first, start), (middle, before), (same, after), *_, (last, end) = line
        assert (start == before > after == end, middle == same) == (True, True)
        assert middle == pytest.approx(first + share * (last - first), abs=0.1)
    assert len(lines) == 4
    assert "level (lower)" in text


def test_a_figure_of_levels_alone_can_be_drawn(tmp_path: Path) -> None:
    draw_comparison(compared(searchers=["uniform"]), tmp_path / "one.svg")

    assert "uniform" in (tmp_path / "one.svg").read_text()


def test_points_make_a_curve(tmp_path: Any) -> None:
    points = [point(result) for result in swept(LIMITS[:2])]
    draw_tradeoff(points, tmp_path / "sweep.svg")

    assert [entry["constraint"] for entry in points] == LIMITS[:2]
    assert points[0]["size"] > points[1]["size"]
    assert all(0 < entry["size"] <= 0.7 for entry in points)
    svg = (tmp_path / "sweep.svg").read_text()
    assert "macs, share of the dense network" in svg
    assert "repaired" in svg
