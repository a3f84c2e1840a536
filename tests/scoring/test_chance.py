"""The bound of guessing, against sums that a reader can redo."""

from math import comb

import pytest

from gnnrl.scoring.chance import is_guess


@pytest.mark.parametrize(("samples", "classes"), [(20, 2), (297, 10), (1000, 100)])
def test_the_bound_is_the_smallest_count_that_guessing_keeps_with_99_percent(samples: int, classes: int) -> None:
    p, below, bound = 1 / classes, 0.0, -1
    while below < 0.99:
        bound += 1
        below += comb(samples, bound) * p**bound * (1 - p) ** (samples - bound)
    assert is_guess(bound / samples, samples, classes)
    assert is_guess(0.0, samples, classes)
    assert not is_guess((bound + 1) / samples, samples, classes)


def test_too_few_samples_and_one_class_prove_nothing() -> None:
    assert not is_guess(0.0, 3, 2)
    assert not is_guess(1.0, 100, 1)
    assert not is_guess(0.0, 0, 10)
