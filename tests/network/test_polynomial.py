"""Polynomials of sizes, by hand."""

import numpy as np
from scipy.sparse import csr_array

from gnnrl.network.polynomial import Peak, Polynomial, Sizes


def test_polynomial_by_hand() -> None:
    """2·x·y + 3·x + 5 with sizes (x, y, 1)."""
    polynomial = Polynomial.build([(2, [0, 1]), (3, [0]), (5, [])], one=2)

    assert polynomial.value(np.array([4, 7, 1])) == 2 * 28 + 12 + 5
    assert polynomial.terms(np.array([4, 7, 1])).tolist() == [56, 12, 5]
    assert polynomial.value(np.array([[4, 7, 1], [1, 1, 1]])).tolist() == [73, 10]
    assert polynomial.gradient(np.array([[4, 7, 1], [1, 1, 1]]))[:, :2].tolist() == [[2 * 7 + 3, 2 * 4], [5, 2]]


def test_polynomial_of_nothing_is_zero() -> None:
    polynomial = Polynomial.build([], one=0)

    assert polynomial.value(np.array([1])) == 0
    assert polynomial.gradient(np.array([[1]])).tolist() == [[0.0]]


def test_gradient_counts_a_repeated_factor_twice() -> None:
    square = Polynomial.build([(1, [0, 0])], one=1)

    assert square.gradient(np.array([[5, 1]]))[0, 0] == 10


def test_sizes_are_fixed_parts_and_multiples_of_widths() -> None:
    """Sizes 3, 1 + 2·a and 2·b for widths (a, b), and the constant 1; then 5 + a and another 1."""
    sizes = Sizes.build(np.array([3, 1, 0]), csr_array(np.array([[0, 0], [2, 0], [0, 2]])))
    more = sizes.extended(np.array([5]), csr_array(np.array([[1, 0]])))

    assert sizes.at(np.array([4, 7])).tolist() == [3, 9, 14, 1]
    assert more.at(np.array([[4, 7], [1, 1]])).tolist() == [[3, 9, 14, 1, 9, 1], [3, 3, 2, 1, 6, 1]]
    assert sizes.price(np.array([[10.0, 20.0, 30.0, 40.0]]), 2).tolist() == [[2 * 20, 2 * 30]]


def test_the_peak_is_the_largest_sum_of_what_lives_at_one_time() -> None:
    """x lives at times 0 to 1, y at 1 to 2, the constant 4 at 3: max(x + y, 4)."""
    peak = Peak.build([(1, [0]), (1, [1]), (4, [])], [(0, 1), (1, 2), (3, 3)], one=2)

    assert peak.value(np.array([[2, 3, 1], [1, 2, 1]])).tolist() == [5, 4]
    assert peak.gradient(np.array([[2, 3, 1], [1, 2, 1]]))[:, :2].tolist() == [[1, 1], [0, 0]]


def test_a_peak_of_nothing_is_zero() -> None:
    peak = Peak.build([], [], one=0)

    assert peak.value(np.array([1])) == 0
    assert peak.gradient(np.array([[1]])).tolist() == [[0.0]]
