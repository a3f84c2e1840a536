"""Operations that are timed alone."""

import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.latency.kernels import SHARES, blocked, find_kernels
from gnnrl.network.tracing.tracer import trace
from tests.topologies import traced


def test_equal_layers_are_measured_once() -> None:
    model = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(4)), nn.Flatten(), nn.Linear(8 * 16, 2))
    kernels, _ = find_kernels(trace(model, torch.zeros(1, 8, 4, 4)), torch.zeros(1))

    assert len(kernels) == 5
    assert len({kernel.signature for kernel in kernels}) == 3  # the first convolution, two inner ones alike, the linear


@pytest.mark.parametrize(("share", "size", "expected"), [(0.5, 10, 5), (0.01, 10, 1), (0.3, 64, 16), (0.3, 256, 80)])
def test_wide_sizes_are_measured_in_blocks(share: float, size: int, expected: int) -> None:
    assert blocked(share, size) == expected


def test_a_kernel_is_the_operation_at_any_widths() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3), nn.Conv2d(6, 2, 1))
    kernels, variables = find_kernels(trace(model, torch.zeros(1, 3, 8, 8)), torch.zeros(1))

    assert [(kernel.name, kernel.dense) for kernel in kernels] == [
        ("conv2d", (8,)),
        ("conv2d", (6, 8)),
        ("conv2d", (6,)),
    ]
    assert kernels[1]._shape("weight", (2, 5)) == (2, 5, 3, 3)
    assert kernels[1]._shape("input", (2, 5)) == (1, 5, 6, 6)
    assert [variables.at(row, np.array([5, 2])) for row in kernels[1].sizes] == [2, 5]
    kernels[1].at((2, 5), torch.zeros(1))()


def test_a_grid_runs_from_the_narrowest_to_the_dense_size() -> None:
    case = traced("concat")
    kernels, variables = find_kernels(case.network, torch.zeros(1))
    for kernel in kernels:
        for row, values in zip(kernel.free, variables.grid(kernel), strict=True):
            assert values == sorted(values)
            assert variables.at(row, np.ones_like(case.network.widths)) <= values[0]
            assert values[-1] == variables.at(row, case.network.widths)
            assert len(values) == len(SHARES[len(kernel.free)])


def test_groups_of_a_narrower_convolution_follow_its_widths() -> None:
    case = traced("depthwise")
    kernel = next(k for k in find_kernels(case.network, torch.zeros(1))[0] if k.settings.get("groups") == 8)
    tensors = {name: torch.zeros(kernel._shape(name, [5] * len(kernel.sizes))) for name in kernel.operands}

    assert kernel._groups(tensors) == 5
