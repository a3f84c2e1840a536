"""On a machine whose time is its multiply-accumulates, latency is known beforehand."""

import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.errors import ConfigError
from gnnrl.latency.kernels import find_kernels
from gnnrl.latency.measurement import measure_latency, time_models
from gnnrl.network.cost import measure
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from tests.latency.machine import SECONDS_PER_MAC, counting_clock
from tests.topologies import Traced, traced

NAMES = (
    "chain",
    "residual",
    "depthwise",
    "dense_block",
    "transposed_convolution",
    "grouped_many",
    "attention",
    "stacked_branches",
)


def milliseconds(case: Traced, widths: np.ndarray) -> float:
    return 1e3 * SECONDS_PER_MAC * measure(case.network, widths).macs * case.network.batch_size


@pytest.mark.parametrize("name", NAMES)
def test_the_prediction_is_exact_where_time_is_macs(name: str) -> None:
    case = traced(name)
    with counting_clock() as clock:
        timed = measure_latency(case.model, case.network, case.example_inputs, clock=clock)
    rng = np.random.default_rng(0)
    dense = case.network.widths

    for widths in (
        dense,
        np.maximum(dense // 2, 1),
        *rng.integers(np.maximum(dense // 2, 1), dense + 1, (4, len(dense))),
    ):
        assert timed.cost.metric("latency", widths) == pytest.approx(milliseconds(case, widths), rel=0.05)
        assert timed.cost.price("latency", widths).shape == widths.shape


def test_sizes_that_shrink_only_in_common_are_measured_so() -> None:
    case = traced("grouped_wide")
    with counting_clock() as clock:
        timed = measure_latency(case.model, case.network, case.example_inputs, clock=clock)
    widths = case.network.widths * 3 // 4

    assert any(kernel.line for kernel in find_kernels(case.network, torch.zeros(1))[0])
    assert timed.cost.metric("latency", widths) == pytest.approx(milliseconds(case, widths), rel=0.1)


def test_what_every_pass_costs_is_found() -> None:
    case = traced("chain")
    with counting_clock(overhead=0.01) as clock:
        timed = measure_latency(case.model, case.network, case.example_inputs, clock=clock)

    assert measure(timed).latency == pytest.approx(milliseconds(case, case.network.widths) + 10, rel=0.05)


def test_wider_is_never_faster() -> None:
    case = traced("residual")
    timed = measure_latency(case.model, case.network, case.example_inputs)
    half = np.maximum(case.network.widths // 2, 1)

    for group in range(len(half)):
        steps = np.tile(half, (8, 1))
        steps[:, group] = np.linspace(1, case.network.widths[group], 8)
        assert (np.diff(timed.cost.metric("latency", steps)) >= -1e-9).all()


def test_a_limit_on_latency_is_met_and_used() -> None:
    case = traced("residual")
    with counting_clock() as clock:
        timed = measure_latency(case.model, case.network, case.example_inputs, clock=clock)
    projection = Projection.build(timed, "latency<=60%", WidthRules(round_to=1))
    widths = projection.of_logits(np.zeros(len(timed.groups)))

    assert 0.5 < milliseconds(case, widths) / milliseconds(case, timed.widths) < 0.63
    assert dict(projection.budget.limits)["latency"] == pytest.approx(0.6 * measure(timed).latency)  # type: ignore[operator]


def test_other_metrics_stay_as_they_were() -> None:
    case = traced("chain")
    with counting_clock() as clock:
        timed = measure_latency(case.model, case.network, case.example_inputs, clock=clock)

    for metric in ("macs", "params", "bytes", "activations"):
        assert timed.cost.metric(metric, case.network.widths // 2) == case.network.cost.metric(
            metric, case.network.widths // 2
        )
    assert measure(case.network).latency is None


def test_the_modes_of_timed_networks_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout()).train()

    time_models([model], torch.zeros(1, 4), rounds=1)

    assert [module.training for module in model.modules()] == [True, True, True]


def test_a_network_without_parameters_is_refused() -> None:
    case = traced("chain")

    with pytest.raises(ConfigError, match="no floating-point parameter"):
        measure_latency(nn.ReLU(), case.network, torch.zeros(1, 3))
