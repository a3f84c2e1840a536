import pytest

from gnnrl.report.axes import HEIGHT, WIDTH, Axes, powers, show, spread, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.3, 0.72, [0.3, 0.4, 0.5, 0.6, 0.7]), (-7, 11, [-5, 0, 5, 10])],
)
def test_ticks_are_round_numbers_within_the_range(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_powers_of_ten_stand_alone_where_there_are_many() -> None:
    assert powers(1, 100) == [1, 2, 5, 10, 20, 50, 100]
    assert powers(1, 10_000) == [1, 10, 100, 1000, 10_000]


def test_equal_factors_lie_equally_far_apart_on_a_logarithmic_axis() -> None:
    axes = Axes((1, 100), (0, 1), "x", "y", x_log=True)

    assert axes.x(10) - axes.x(1) == pytest.approx(axes.x(100) - axes.x(10))
    assert 0 < axes.x(1) < axes.x(100) < WIDTH


def test_what_is_out_of_range_lies_at_the_edge() -> None:
    axes = Axes((0, 1), (0, 1), "x", "y")

    assert 0 < axes.y(5) == axes.y(1) < axes.y(0) == axes.y(-3) < HEIGHT


def test_a_single_number_is_given_room_and_shown_without_zeros() -> None:
    low, high = spread(0.5, 0.5)

    assert low < 0.5 < high
    assert [show(0.25, share=False), show(0.25, share=True), show(-0.0, share=False)] == ["0.25", "25%", "0"]
