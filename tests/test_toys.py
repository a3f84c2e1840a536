"""Both laws on the toy networks of other tools, and at least the widths that ModelOpt finds in its own."""

from functools import cache

import numpy as np
import pytest
import torch

from gnnrl.network.cost import measure
from gnnrl.network.reasons import Kind
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.counting import count_macs
from gnnrl.pruning.verification import mask
from tests.laws import LeaveOut, double, run
from tests.topologies import Traced
from tests.toys import TOYS, traced_toy

traced = cache(traced_toy)


@pytest.mark.parametrize("name", sorted(TOYS))
def test_groups_of_toys(name: str) -> None:
    assert len(traced(name).network.groups) >= TOYS[name].groups


@pytest.mark.parametrize("name", sorted(TOYS))
def test_whatever_stays_whole_says_why(name: str) -> None:
    network = traced(name).network

    assert all(
        reason.text and reason.operation
        for group in network.frozen
        for reason in group.reasons
        if reason.kind is not Kind.OUTPUT
    )


@pytest.mark.parametrize("name", sorted(TOYS))
@pytest.mark.parametrize("narrowest", [False, True])
def test_laws_hold_on_toys(name: str, narrowest: bool) -> None:
    case, rng = traced(name), np.random.default_rng(0)
    sizes = [1 if narrowest else int(rng.integers(1, group.size + 1)) for group in case.network.groups]
    kept = [np.sort(rng.permutation(group.size)[:n]) for group, n in zip(case.network.groups, sizes, strict=True)]

    small = remove(case.model, case.network, kept)
    predicted = measure(case.network, sizes)

    assert predicted == measure(trace(small, case.example_inputs))
    assert count_macs(small, case.example_inputs) == predicted.macs * case.network.batch_size
    assert_equal_to_masked(case, small, kept)


def assert_equal_to_masked(case: Traced, small: torch.nn.Module, kept: list[np.ndarray]) -> None:
    inputs = double(case.example_inputs)
    with torch.no_grad():
        output = run(small.double(), inputs)
        with LeaveOut():
            expected = run(mask(case.model, case.network, kept).double(), inputs)
    for a, b in zip(output, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * max(float(b.abs().max()), 1.0))
