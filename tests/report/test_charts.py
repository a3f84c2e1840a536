"""Charts of a search and of a sweep."""

import re

import pytest

from gnnrl.report.charts import draw_curve, draw_search
from gnnrl.report.record import Judged


def test_the_best_plan_so_far_never_falls_and_outliers_stay_in_the_chart() -> None:
    scores = [0.5, 0.4, 0.6, -1e6, 0.61, 0.2]
    chart = str(draw_search([Judged(score=score, seconds=1, widths=(1,)) for score in scores], "reward"))
    line = re.findall(r'd="M([^"]*)" class="best"', chart)[0]
    levels = [float(corner.split(",")[1]) for corner in line.split("L")]

    assert levels == sorted(levels, reverse=True)
    assert len(levels) == 7, "a corner at each end, and two on the way from each rise to the next"
    assert all(0 <= float(y) <= 270 for y in re.findall(r'cy="([-\d.]+)"', chart))


def test_plans_that_rose_stand_on_the_line_and_the_others_below_it() -> None:
    scores = [0.5, 0.4, 0.6, 0.61, 0.2]
    chart = str(draw_search([Judged(score=score, seconds=1, widths=(1,)) for score in scores], "top1"))
    others, rises = chart.split('class="best"')

    assert (others.count('class="point"'), others.count("rise")) == (2, 0)
    assert (rises.count('class="point"'), rises.count('class="point rise"')) == (0, 3)


@pytest.mark.parametrize(("reward", "tick"), [("top1", "40%"), ("loss", "0.4"), ("kl", "0.4")])
def test_an_axis_of_shares_is_in_percent_as_the_rest_of_the_page(reward: str, tick: str) -> None:
    chart = draw_search([Judged(score=score, seconds=1, widths=(1,)) for score in (0.25, 0.75)], reward)
    shown = re.findall(r'text-anchor="end">(.*?)<', str(chart))

    assert tick in shown
    assert all(text.endswith("%") == (reward == "top1") for text in shown)


@pytest.mark.parametrize("scores", [[0.0, 0.0], [1e-9, 2e-9], [-5.0, -5.0, -4.0], [1e6, 1e6 + 1]])
def test_any_scores_give_a_chart(scores: list[float]) -> None:
    assert "<svg" in draw_search([Judged(score=score, seconds=1, widths=(1,)) for score in scores], "reward")


def test_a_curve_rises_to_the_right_whatever_the_order_of_its_points() -> None:
    points = [(share, {"dense": 0.9, "repaired": 0.5 + share / 5}) for share in (0.5, 0.2, 0.8)]
    path = re.findall(r'd="M(.*?)"', str(draw_curve(points, 0.9, "top1", "MACs")))
    places = [tuple(float(number) for number in place.split(",")) for place in path[0].split("L")]

    assert places == sorted(places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
