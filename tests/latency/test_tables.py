from dataclasses import replace

import numpy as np
import pytest

from gnnrl.latency.tables import Latency, Tables, monotone
from gnnrl.network.polynomial import Polynomial

GRID = np.array([[[1.0, 4.0, 8.0], [2.0, 4.0, 6.0]]])
TABLE = Tables(np.array([[0, 2]]), GRID, np.array([[x * y + x for x in GRID[0, 0] for y in GRID[0, 1]]]))
"""Time x·y + x of the sizes 0 and 2, of which every cell is linear in each size."""


@pytest.mark.parametrize(("x", "y"), [(1, 2), (4, 6), (8, 6), (3, 5), (6, 3)])
def test_linear_between_the_measured_points(x: int, y: int) -> None:
    assert TABLE.value(np.array([x, 77, y, 1])) == pytest.approx(x * y + x)


def test_constant_outside_of_the_grid() -> None:
    assert TABLE.value(np.array([[20, 0, 9, 1], [0, 0, 1, 1]])) == pytest.approx([8 * 6 + 8, 2 + 1])
    assert TABLE.gradient(np.array([[20, 0, 9, 1]])).tolist() == [[0, 0, 0, 0]]


def test_the_gradient_is_the_slope_inside_a_cell() -> None:
    assert TABLE.gradient(np.array([[3, 0, 5, 1], [6, 0, 3, 1]])) == pytest.approx(
        np.array([[5 + 1, 0, 3, 0], [3 + 1, 0, 6, 0]])
    )


def test_tables_add_up_and_may_share_a_size() -> None:
    grid = np.array([[[1.0, 2.0, 9.0]], [[1.0, 5.0, 9.0]]])
    tables = Tables(np.array([[1], [1]]), grid, np.array([[1.0, 2.0, 9.0], [10.0, 50.0, 90.0]]))

    assert tables.value(np.array([[0, 6, 1]])) == pytest.approx([6 + 60])
    assert tables.gradient(np.array([[0, 6, 1]])) == pytest.approx(np.array([[0, 1 + 10, 0]]))


def test_a_size_of_a_single_value_has_no_slope() -> None:
    tables = Tables(np.array([[0]]), np.array([[[3.0, 3.0, 3.0]]]), np.array([[7.0, 7.0, 7.0]]))

    assert tables.value(np.array([3, 1])) == pytest.approx(7.0)
    assert tables.gradient(np.array([[3, 1]])).tolist() == [[0, 0]]


def test_latency_adds_the_rest_and_is_corrected_as_a_whole() -> None:
    latency = Latency((TABLE,), Polynomial.build([(1, [0, 2])], one=3), scale=2.0, constant=5.0, per_byte=0.5)
    sizes = np.array([[3, 0, 5, 1]])

    assert latency.value(sizes) == pytest.approx([2 * 18 + 5 + 0.5 * 15])
    assert latency.gradient(sizes)[0, :3] == pytest.approx([2 * 6 + 0.5 * 5, 0, 2 * 3 + 0.5 * 3])
    assert replace(latency, factor=2.2).value(sizes) == pytest.approx(2.2 * latency.value(sizes))


def test_monotone_times_never_fall_and_stay_within_the_noise() -> None:
    rng = np.random.default_rng(0)
    truth = np.add.outer(np.arange(5.0), 2 * np.arange(5.0))
    noisy = truth + rng.uniform(-3, 3, truth.shape)

    found = monotone(noisy)

    assert all((np.diff(found, axis=axis) >= 0).all() for axis in (0, 1))
    assert np.abs(found - truth).max() <= 3
    assert np.array_equal(monotone(truth), truth)
