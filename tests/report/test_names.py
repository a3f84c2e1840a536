import pytest

from gnnrl.report.names import (
    count,
    duration,
    extremes,
    is_worse,
    plural,
    sampling_error,
    score,
    score_change,
    unrepaired,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(999, "999"), (1_630_000, "1.63 M"), (999_499, "999 k"), (999_500, "1,000 k"), (4.1e9, "4.1 G")],
)
def test_counts_have_three_digits_and_a_unit(value: float, shown: str) -> None:
    assert count(value) == shown


def test_scores_are_percentages_where_they_are_shares_and_their_minus_is_as_wide_as_a_plus() -> None:
    assert score(0.9134, "top1") == "91.3%"
    assert score(-1.23456, "score") == "−1.235"
    assert score_change(0.91, 0.9, "top1") == "−1.0 points"
    assert score_change(1.0, 1.25, "score") == "+0.25"


def test_the_sampling_error_is_half_of_wilsons_interval() -> None:
    """Of 100 images 50 right: 0.404 to 0.596. Of 100 all right: 0.963 to 1."""
    assert sampling_error(0.5, 100) == pytest.approx((0.596 - 0.404) / 2, abs=5e-4)
    assert sampling_error(1.0, 100) == pytest.approx((1 - 0.963) / 2, abs=5e-4)


def test_a_network_is_worse_where_it_lost_more_than_chance_explains() -> None:
    assert is_worse(0.5, 0.39, 100)
    assert not is_worse(0.5, 0.41, 100)
    assert not is_worse(0.5, 0.6, 100)


def test_numbers_have_nouns_and_seconds_their_unit() -> None:
    assert [plural(number, "class", "es") for number in (0, 1, 1200)] == ["0 classes", "1 class", "1,200 classes"]
    assert [duration(seconds) for seconds in (3.14, 42, 600, 7200)] == ["3.1 s", "42 s", "10 min", "2.0 h"]


def test_the_groups_on_which_outputs_depend_most_and_least_have_factors() -> None:
    known = {"stem": -1.0, "a": 0.0, "b": 1.0, "c": 3.0, "dense": None}

    assert extremes(known) == (["c ×20", "b ×2.7"], ["stem ×0.37", "a ×1"])
    assert extremes(known, 1) == (["c ×20"], ["stem ×0.37"])
    assert extremes({"a": 1.0}) == ([], [])


def test_layers_that_were_not_repaired_are_named() -> None:
    assert unrepaired([]) == ""
    assert unrepaired(["a.weight"]).startswith("Not repaired: a.weight; their repair made them worse ")
    assert "Not repaired: 0, 1, 2, 3 and 2 more; the repair cannot " in unrepaired([], [*"012345"])
