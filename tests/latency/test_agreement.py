from collections.abc import Callable

import numpy as np
import pytest

from gnnrl.latency.agreement import agree, scaled_onto, with_factor
from gnnrl.latency.measurement import measure_latency
from gnnrl.network.labels import Component
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from tests.latency.machine import counting_clock
from tests.topologies import traced


@pytest.fixture(scope="module")
def projection() -> Projection:
    case = traced("residual")
    with counting_clock() as clock:
        timed = measure_latency(case.model, case.network, case.example_inputs, clock=clock)
    return Projection.build(timed, "latency<=50%", WidthRules(round_to=1))


def uniform(projection: Projection) -> Component:
    return projection.of_logits(np.zeros(len(projection.network.groups)))


def slower_by(
    factor: float, projection: Projection, machine: float = 1.0
) -> Callable[[Component], tuple[float, float]]:
    """A machine on which narrow networks take so much longer than the model says, and everything takes longer."""
    cost, network = projection.network.cost, projection.network
    dense = float(cost.metric("latency", network.widths))
    return lambda widths: (machine * dense, machine * factor * float(cost.metric("latency", widths)))


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.3])
@pytest.mark.parametrize("machine", [1.0, 2.0])
def test_a_wrong_model_is_corrected_until_the_plan_is_fast_enough(
    projection: Projection, factor: float, machine: float
) -> None:
    found = agree(projection, uniform, slower_by(factor, projection, machine), relative=True)

    assert 0.9 < found.check.used <= 1
    assert found.check.limit_ms == pytest.approx(0.5 * found.check.dense_ms)
    assert found.rounds <= 3
    assert found.widths.tolist() == uniform(found.projection).tolist()


def test_a_machine_that_overshoots_every_correction_is_closed_in_on(projection: Projection) -> None:
    cost, network = projection.network.cost, projection.network
    dense, limit = float(cost.metric("latency", network.widths)), dict(projection.budget.limits)["latency"]

    def steep(widths: Component) -> tuple[float, float]:
        promised = float(cost.metric("latency", widths))
        return dense, 1.2 * limit * (promised / limit) ** 3

    found = agree(projection, uniform, steep, relative=True)

    assert 0.9 < found.check.used <= 1


def test_the_error_of_the_model_is_reported(projection: Projection) -> None:
    found = agree(projection, uniform, slower_by(1.02, projection), relative=False)

    assert found.check.error == pytest.approx(1 / 1.02 - 1)
    assert set(found.check.facts()) == {"limit_ms", "dense_ms", "pruned_ms", "predicted_ms", "error", "used", "where"}


def test_an_absolute_limit_is_one_on_what_is_measured(projection: Projection) -> None:
    found = agree(projection, uniform, slower_by(1.0, projection, machine=1.4), relative=False)

    assert found.check.limit_ms == dict(projection.budget.limits)["latency"]
    assert 0.9 < found.check.used <= 1


def test_another_limit_that_is_tighter_ends_the_correction(projection: Projection) -> None:
    narrow = np.ones(len(projection.network.groups), np.int64)

    found = agree(projection, lambda onto: narrow, slower_by(1.2, projection), relative=True)

    assert (found.rounds, found.projection) == (1, projection)


def test_a_plan_is_widened_or_narrowed_as_a_whole(projection: Projection) -> None:
    plan = uniform(projection)
    for widths in (np.maximum(plan // 2, 1), plan, projection.network.widths):
        scaled = scaled_onto(projection, widths)
        assert projection.holds(scaled)
        assert float(projection.network.cost.metric("latency", scaled)) > 0.4 * float(
            projection.network.cost.metric("latency", projection.network.widths)
        )


def test_a_share_of_a_corrected_network_is_one_of_what_was_measured(projection: Projection) -> None:
    found = agree(projection, uniform, slower_by(1.3, projection), relative=True)
    corrected = found.projection.network

    again = Projection.build(with_factor(corrected), "latency<=50%", WidthRules(round_to=1))

    assert (
        float(corrected.cost.metric("latency", corrected.widths))
        > 1.2 * dict(projection.budget.limits)["latency"] / 0.5
    )
    assert dict(again.budget.limits)["latency"] == pytest.approx(dict(projection.budget.limits)["latency"])
