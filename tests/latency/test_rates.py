"""The model of latency that is fitted to whole networks."""

import numpy as np
import pytest

from gnnrl.latency.rates import fit_rates, sample_plans
from gnnrl.network.structure import Network, Operation
from gnnrl.pruning.rules import WidthRules
from tests.topologies import traced


def nanoseconds(network: Network, operation: Operation) -> float:
    """Of a multiply-accumulate, on a machine that is slow where few values are used again."""
    if operation.name != "conv2d":
        return 4.0
    one_by_one = network.shapes[operation.parameters["weight"]][2:] == (1, 1)
    return 7.0 if operation.settings["groups"] > 1 else 2.0 if one_by_one else 1.0


@pytest.mark.parametrize("name", ["residual", "depthwise", "inverted_residual"])
def test_a_machine_with_a_rate_for_each_kind_of_operation_is_found(name: str) -> None:
    network = traced(name).network
    count = len(network.operations)
    rates = np.array([nanoseconds(network, operation) for operation in network.operations])
    plans = sample_plans(network, WidthRules(round_to=1).ladders(network))
    milliseconds = np.array([1e-6 * network.cost.macs_by_operation(plan, count) @ rates for plan in plans]) + 0.01

    metric = fit_rates(network, plans, milliseconds, dense=9.0)
    assert metric.value(plans) == pytest.approx(milliseconds, rel=0.01)
    assert metric.form.reference == 9.0

    more = plans[-1:] + (plans[-1] < network.widths)
    gained = float((metric.value(more) - metric.value(plans[-1:]))[0])
    assert gained >= 0
    prices = metric.price(plans[-1])
    assert (prices >= 0).all()
    assert prices @ (more - plans[-1])[0] == pytest.approx(gained, rel=0.3)


def test_plans_to_time_are_within_the_rules_and_begin_with_the_dense_one() -> None:
    network = traced("residual").network
    ladders = WidthRules(min_width=2, round_to=4).ladders(network)
    plans = sample_plans(network, ladders)
    assert (plans[0] == network.widths).all()
    assert len({tuple(plan) for plan in plans.tolist()}) == len(plans) > len(ladders)
    for ladder, widths in zip(ladders, plans.T, strict=True):
        assert {*widths.tolist()} <= {*ladder.tolist()}
