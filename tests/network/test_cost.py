import numpy as np
import pytest

from gnnrl.errors import ConfigError
from gnnrl.network.cost import Budget, Constraint, Cost, measure
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


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("macs<=50%", {"macs": 500_000}),
        ("MACs <= 50 %", {"macs": 500_000}),
        ("macs<=33.3%", {"macs": 333_000}),
        ("flops<=50%", {"macs": 500_000}),
        ("params<=1.5k", {"params": 1_500}),
        ("params<1500", {"params": 1_500}),
        ("macs<=2e5", {"macs": 200_000}),
        ("macs<=0.4M, bytes<=4k", {"macs": 400_000, "bytes": 4_000}),
        ("macs<=1G", {"macs": 1_000_000_000}),
        ("activations<=25%", {"activations": 1_000}),
        ("latency<=60%", {"latency": 12.0}),
        ("latency<=500us", {"latency": 0.5}),
        ("latency<=5ms, macs<=50%", {"latency": 5.0, "macs": 500_000}),
    ],
)
def test_constraints_that_are_understood(text: str, limits: dict[str, int]) -> None:
    assert dict(Budget.of(text, DENSE).limits) == limits


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no limit"),
        (",", "no limit"),
        ("half", "is not a limit"),
        ("macs=50%", "is not a limit"),
        ("macs>=50%", "is not a limit"),
        ("macs<=fifty", "is not a limit"),
        ("macs<=1.2.3M", "is not a number"),
        ("speed<=50%", "not a cost"),
        ("flops<=3M", "ambiguous"),
        ("macs<=0%", "above 0% and below 100%"),
        ("macs<=100%", "above 0% and below 100%"),
        ("macs<=150%", "above 0% and below 100%"),
        ("macs<=0.5", "neither a share nor a size"),
        ("macs<=50%, macs<=40%", "limited twice"),
        ("macs<=-5M", "is not a limit"),
        ("latency<=5", "unit of time"),
        ("latency<=5M", "unit of time"),
        ("latency<=0ms", "neither a share nor a size"),
        ("macs<=5ms", "unit of time"),
        ("params<=300kB", "params are not counted in bytes"),
    ],
)
def test_constraints_that_are_refused_show_one_that_is_right(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        Constraint.parse(text)
    assert "macs" in str(error.value)


def test_bytes_are_limited_in_the_units_they_are_shown_in() -> None:
    assert Constraint.parse("bytes<=300kB, activations<=2 MB") == Constraint.parse("bytes<=300k, activations<=2M")


def test_a_constraint_prints_as_it_is_written() -> None:
    assert [str(constraint) for constraint in Constraint.parse("macs<=50%, params<=1.5M, latency<=2.5ms")] == [
        "macs<=50%",
        "params<=1,500,000",
        "latency<=2.5ms",
    ]


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
