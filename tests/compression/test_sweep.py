"""Several limits in one go, on a tiny network and random data."""

from functools import partial

import pytest

import gnnrl
from gnnrl.compression import timing
from gnnrl.errors import ConfigError, UnreachableConstraint
from gnnrl.network.limits import name_limit
from tests.compression.tiny import LIMITS, batches, near, swept
from tests.latency.machine import counting_clock
from tests.topologies import images, topology


def test_every_limit_is_met_by_a_network_of_its_own() -> None:
    found = swept()

    assert [result.settings["constraint"] for result in found] == LIMITS
    for result, (metric, share) in zip(found, (("macs", 0.7), ("macs", 0.5), ("params", 0.6)), strict=True):
        cost = result.cost
        assert 0.8 * share < getattr(cost["pruned"], metric) / getattr(cost["dense"], metric) <= share
        assert len(result.history) == 2


def test_a_limit_of_a_sweep_gives_what_it_gives_alone() -> None:
    model = topology("residual").model
    alone = gnnrl.compress(
        model, images(), "macs<=50%", evaluate=near(model), calibration=batches(), searcher="random-prior", episodes=2
    )

    assert swept()[1].plan.widths == alone.plan.widths


def test_limits_on_latency_are_shares_of_one_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    with counting_clock() as clock:
        for name in ("measure_latency", "time_plans"):
            monkeypatch.setattr(timing, name, partial(getattr(timing, name), clock=clock))
        first, second = swept(["latency<=70%", "latency<=50%"], rules=gnnrl.WidthRules(round_to=1), searcher="curves")

    for result, share in ((first, 0.7), (second, 0.5)):
        assert result.latency is not None
        assert result.latency.limit_ms == pytest.approx(share * result.latency.dense_ms)
        assert 0.9 < result.latency.used <= 1


def test_results_are_told_one_by_one() -> None:
    told: list[str] = []

    found = swept(on_limit=told.append, on_result=lambda result: told.append(result.settings["constraint"]))

    assert told == [limit for limit in LIMITS for _ in range(2)]
    assert len(found) == 3


@pytest.mark.parametrize(
    ("limits", "error", "said"),
    [
        ([], ConfigError, "a sweep needs limits"),
        (["macs<=50%", "macs <= 50%"], ConfigError, "each of them once"),
        (["macs<=50%", "speed<=2"], ConfigError, "not a cost"),
        (["macs<=50%", "macs<=0.1%"], UnreachableConstraint, "cannot be met"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_searched(limits: list[str], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        swept(limits, on_limit=lambda limit: pytest.fail(f"searched for {limit}"))


@pytest.mark.parametrize(
    ("constraint", "name"),
    [
        ("macs<=50%", "macs-50"),
        ("latency<=5ms", "latency-5ms"),
        ("params<=1.5M, macs<=33.3%", "params-1500000-macs-33.3"),
    ],
)
def test_a_limit_names_a_folder(constraint: str, name: str) -> None:
    assert name_limit(constraint) == name
