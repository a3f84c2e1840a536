"""Limits, as people write them."""

import pytest

from gnnrl.errors import ConfigError
from gnnrl.network.cost import Budget, Cost
from gnnrl.network.limits import Constraint, name_limit

DENSE = Cost(macs=1_000_000, params=2_000, bytes=8_000, activations=4_000, latency=20.0)


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
        ("macs<=50%@onnxruntime", "only latency depends on an engine"),
        ("latency<=50%@", "is not a limit"),
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


@pytest.mark.parametrize(
    ("text", "engine", "folder"),
    [
        ("latency<=60%", "", "latency-60"),
        ("latency<=60%@onnxruntime:int8", "onnxruntime:int8", "latency-60-onnxruntime-int8"),
        ("latency<=2.5ms @ openvino", "openvino", "latency-2.5ms-openvino"),
        ("latency<=5ms@parts/device.py:Engine", "parts/device.py:Engine", "latency-5ms-parts-device.py-Engine"),
    ],
)
def test_a_latency_may_be_one_in_an_engine(text: str, engine: str, folder: str) -> None:
    (limit,) = Constraint.parse(text)
    assert limit.engine == engine
    assert Constraint.parse(str(limit)) == (limit,)
    assert name_limit(text) == folder
