"""Whatever a network does, only errors of gnnrl's own leave the public functions."""

import warnings

import pytest

from benchmarks.mutations import mutated, outcome
from gnnrl.errors import GnnrlError, VerificationError


@pytest.mark.parametrize("seed", range(20))
def test_only_own_errors_leave_trace_and_prune(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, error = outcome(seed)

    assert error is None or isinstance(error, GnnrlError), mutated(seed)[0]
    assert not isinstance(error, VerificationError), mutated(seed)[0]
