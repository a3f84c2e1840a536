"""The report of a sweep: the curve, a row for each limit, and files that are no sweep."""

import json
import re
from pathlib import Path

import pytest

from gnnrl.errors import ArtifactError
from gnnrl.report.limits import Asked
from gnnrl.report.sweep import Facts, Point, Sweep, read_sweep, render_sweep
from tests.report.results import Page


def network(share: float, metric: str = "macs", **changes: object) -> Point:
    """A network of a sweep that has so much left of everything."""
    change = {"dense": 1e6, "pruned": 1e6 * share}
    sizes = dict.fromkeys(("macs", "params", "file_bytes", "latency_ms"), change)
    point = Point(
        constraint=f"{metric}<={share:.0%}",
        metric=metric,
        shares={"macs": share, "params": share},
        score={"dense": 0.9, "pruned": 0.1, "repaired": 0.8 + share / 10, "finetuned": 0.85 + share / 20},
        out=f"somewhere/else/{metric}-{100 * share:.0f}",
        facts=Facts.model_validate({"model": "net", "test_images": 500, **sizes}),
    )
    return point.model_copy(update=changes)


def test_every_network_is_a_point_a_row_and_a_link_to_its_report() -> None:
    shares = (0.7, 0.5, 0.3)
    page = Page(render_sweep(Sweep(points=tuple(network(share) for share in shares))))

    assert [found["href"] for tag, found in page.elements if tag == "a"] == [
        f"macs-{100 * share:.0f}/report.html" for share in shares
    ]
    assert page.count("circle", class_="point rise") == page.count("circle", class_="point") == len(shares)
    for share in shares:
        assert f"{0.85 + share / 20:.1%}" in page.text
    assert "500 test images" in page.text
    assert "2.6 points off" in page.text


def test_limits_of_several_metrics_are_compared_by_macs() -> None:
    assert Sweep(points=(network(0.5), network(0.4, "params"))).metric == "macs"
    assert Sweep(points=(network(0.5, "params"), network(0.4, "params"))).metric == "params"


def test_the_page_of_a_sweep_asks_for_nothing_and_takes_names_for_text() -> None:
    hostile = '<script>alert(1)</script>"><img src=x>'
    wild = network(0.5, constraint=hostile, out=f"javascript:alert(1)/{hostile}")
    text = render_sweep(
        Sweep(points=(wild.model_copy(update={"facts": wild.facts.model_copy(update={"model": hostile})}),))
    )
    page = Page(text)

    assert not page.count("script") + page.count("img") + page.count("link")
    assert not re.findall(r"(?:https?:)?//[a-z]", text)
    assert ":" not in next(found["href"] for tag, found in page.elements if tag == "a")


@pytest.mark.parametrize(
    "damage",
    [
        "nonsense",
        "[]",
        "[" * 10_000,
        json.dumps({"points": []}),
        json.dumps({"points": [network(0.5, shares={}).model_dump()]}),
        json.dumps({"points": [network(0.5).model_dump(), network(0.4, score={"dense": 1.0, "x": 1}).model_dump()]}),
    ],
)
def test_a_file_that_is_no_sweep_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / "sweep.json").write_text(damage)

    with pytest.raises(ArtifactError, match=r"sweep\.json is not a sweep"):
        read_sweep(tmp_path)


def test_a_page_begins_with_whether_each_limit_is_met_and_by_how_much() -> None:
    def limited(share: float, pruned: float) -> Point:
        found = network(share)
        limits = (Asked(found.constraint, 1e6 * share, 1e6, 1e6 * pruned),)
        return found.model_copy(update={"facts": found.facts.model_copy(update={"limits": limits})})

    met, missed = limited(0.7, 0.69), limited(0.3, 0.32)
    both, one = (Page(render_sweep(Sweep(points=points))).text for points in ((met, missed), (met, limited(0.5, 0.5))))

    assert "net at 2 limits: MACs ≤ 30% missed by 2.0 points" in both
    assert "MACs ≤ 70%: met by 1.0 points" in both
    assert "net at 2 limits: all met" in one
    assert "MACs ≤ 50%: met exactly" in one
    assert "net at 1 limit ·" in Page(render_sweep(Sweep(points=(network(0.5),)))).text
