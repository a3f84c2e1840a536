import numpy as np
import pytest

from gnnrl.errors import ConfigError
from gnnrl.network.cost import Budget, Cost, measure
from tests.topologies import TOPOLOGIES, Traced, traced

DENSE = Cost(macs=1_000_000, params=2_000, bytes=8_000, activations=4_000, latency=20.0)


@pytest.mark.parametrize("metric", ["macs", "params", "bytes"])
def test_price_is_the_central_difference_of_the_size(case: Traced, metric: str) -> None:
    """The size is at most of second degree in each width, for which central differences are exact."""
    widths, model = np.maximum(case.network.widths // 2, 1), case.network.cost.metrics[metric]
    price = model.price(widths)

    for group in range(len(widths)):
        step = np.eye(len(widths), dtype=np.int64)[group]
        up, down = (model.form.value(model.sizes.at(w)) / model.samples for w in (widths + step, widths - step))
        assert price[group] == pytest.approx((up - down) / 2)


def test_many_widths_are_measured_at_once(case: Traced) -> None:
    rng = np.random.default_rng(0)
    many = rng.integers(1, case.network.widths + 1, (5, len(case.network.widths)))

    for metric in ("macs", "params", "bytes", "activations"):
        expected = [getattr(case.network.cost.measure(widths), metric) for widths in many]
        assert case.network.cost.metric(metric, many).tolist() == expected


def test_macs_by_operation_add_up(case: Traced) -> None:
    network = case.network
    shares = network.cost.macs_by_operation(network.widths, len(network.operations))

    assert shares.sum() == pytest.approx(measure(network).macs)


def test_size_by_hand() -> None:
    """chain: 3→8 at 8x8, 8→16 and 16→12 at 4x4, linear 12→5; without biases but the last."""
    network = traced("chain").network
    macs = 64 * 9 * 3 * 8 + 16 * 9 * 8 * 16 + 16 * 9 * 16 * 12 + 12 * 5
    params = 9 * (3 * 8 + 8 * 16 + 16 * 12) + 2 * (8 + 16 + 12) + 12 * 5 + 5

    assert measure(network).macs == macs
    assert measure(network).params == params
    assert measure(network, [4, 8, 6]).macs == 64 * 9 * 3 * 4 + 16 * 9 * 4 * 8 + 16 * 9 * 8 * 6 + 6 * 5


def test_size_does_not_depend_on_the_batch() -> None:
    from gnnrl.network.tracing.tracer import trace
    from tests.topologies import images

    case = traced("residual")

    assert measure(trace(case.model, images(batch=5))) == measure(case.network)


@pytest.mark.parametrize("name", sorted(TOPOLOGIES))
def test_size_never_falls_when_a_group_widens(name: str) -> None:
    network = traced(name).network
    half = np.maximum(network.widths // 2, 1)
    for group in range(len(half)):
        wider = half.copy()
        wider[group] = network.widths[group]
        for metric in ("macs", "params", "bytes", "activations"):
            before, after = network.cost.metric(metric, half), network.cost.metric(metric, wider)
            assert after >= before, metric


def test_a_limit_on_latency_needs_measured_layers() -> None:
    with pytest.raises(ConfigError, match=r"no layer was measured; call gnnrl.measure_latency"):
        Budget.of("latency<=60%", Cost(macs=1_000_000, params=2_000, bytes=8_000))


def test_a_budget_holds_when_every_limit_does() -> None:
    budget = Budget.of("macs<=50%, params<=75%", DENSE)

    assert budget.holds(Cost(500_000, 1_500, 9_999))
    assert not budget.holds(Cost(500_001, 1_500, 0))
    assert not budget.holds(Cost(1, 1_501, 0))
    assert budget.excess(Cost(1_000_000, 1_500, 0)) == 2.0


def test_limits_fall_geometrically_on_the_way() -> None:
    budget = Budget.of("macs<=25%", DENSE)

    assert budget.on_the_way(DENSE, 0.5).limits == (("macs", 500_000),)
    assert budget.on_the_way(DENSE, 1.0) == budget
