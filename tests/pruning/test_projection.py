from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gnnrl.errors import ConfigError
from gnnrl.network.cost import Budget
from gnnrl.network.limits import as_constraints
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from tests.topologies import traced

NETWORK = traced("residual").network


DENSE = NETWORK.cost.measure(NETWORK.widths)


def wide():
    """A network with groups of 16 to 64 channels, where a step is a small share of the whole."""
    from tests.topologies import Head, conv, images

    torch.manual_seed(0)
    return trace(nn.Sequential(conv(3, 32), conv(32, 64), conv(64, 64), conv(64, 16), Head(16)), images())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-40, 40), min_size=3, max_size=3), st.floats(0.05, 0.99))
def test_widths_meet_the_limit_and_nothing_more_fits(logits: list[float], share: float) -> None:
    projection = Projection.build(NETWORK, Budget((("macs", max(int(DENSE.macs * share), 4000)),)))

    widths = projection.of_logits(logits)

    assert projection.holds(widths)
    for group in range(3):
        wider = widths.copy()
        wider[group] += 1
        assert widths[group] == NETWORK.widths[group] or not projection.holds(wider)


@pytest.mark.parametrize("share", [20, 35, 50, 65, 80])
@pytest.mark.parametrize("metric", ["macs", "params"])
def test_at_least_97_percent_of_the_limit_is_used(share: int, metric: str) -> None:
    network = wide()
    projection = Projection.build(network, f"{metric}<={share}%", WidthRules(round_to=1))
    rng = np.random.default_rng(share)
    for _ in range(10):
        found = getattr(network.cost.measure(projection.of_logits(rng.normal(0, 2, 4))), metric)
        assert 0.97 * projection.budget.limits[0][1] <= found <= projection.budget.limits[0][1]


def test_equal_logits_give_equal_ratios() -> None:
    widths = Projection.build(NETWORK, "macs<=50%").of_logits([3.0, 3.0, 3.0])

    assert widths.max() - widths.min() <= 1


def test_a_common_shift_of_the_logits_changes_nothing() -> None:
    projection = Projection.build(NETWORK, "macs<=40%")

    assert projection.of_logits([1.0, 0.0, -1.0]).tolist() == projection.of_logits([5.0, 4.0, 3.0]).tolist()


def test_a_wish_that_fits_is_granted() -> None:
    projection = Projection.build(NETWORK, "macs<=99%")

    assert projection.settle(np.array([12.0, 12.0, 12.0])).tolist() != [12, 12, 12]
    assert Projection.build(NETWORK, Budget((("macs", DENSE.macs),))).of_logits([0, 0, 0]).tolist() == [12, 12, 12]


def test_several_limits_hold_together() -> None:
    projection = Projection.build(NETWORK, "macs<=60%, params<=30%")
    cost = NETWORK.cost.measure(projection.of_logits([0, 0, 0]))

    assert cost.macs <= 0.6 * DENSE.macs
    assert cost.params <= 0.3 * DENSE.params


@pytest.mark.parametrize("round_to", [1, 2, 4, 5])
def test_widths_are_multiples_or_dense(round_to: int) -> None:
    projection = Projection.build(NETWORK, "macs<=60%", WidthRules(round_to=round_to))
    rng = np.random.default_rng(0)
    for _ in range(10):
        widths = projection.of_logits(rng.normal(0, 2, 3))
        assert all(width % round_to == 0 or width == 12 for width in widths)


def test_a_group_smaller_than_the_multiple_stays_whole() -> None:
    assert [ladder.tolist() for ladder in WidthRules(round_to=16).ladders(NETWORK)] == [[12], [12], [12]]


def test_widths_never_fall_below_the_minimum() -> None:
    projection = Projection.build(NETWORK, "macs<=50%", WidthRules(min_width=6))

    assert projection.narrowest.tolist() == [6, 6, 6]
    assert projection.of_logits([9, -9, -9]).min() >= 6
    assert WidthRules(min_width=99).ladders(NETWORK)[0].tolist() == [12]


@pytest.mark.parametrize("pattern", ["1.conv1.0", "1.*", "*.conv1.0"])
def test_patterns_keep_groups_whole(pattern: str) -> None:
    widths = Projection.build(NETWORK, "macs<=80%", WidthRules(keep=(pattern,))).of_logits([0, -9, 9])

    assert widths[1] == 12


def test_a_pattern_that_matches_nothing_suggests_one_that_does() -> None:
    with pytest.raises(ConfigError, match=r"'1.conv7.0' matches no layer.*did you mean .*1\.conv1"):
        WidthRules(keep=("1.conv7.0",)).ladders(NETWORK)


@pytest.mark.parametrize("rules", [{"min_width": 0}, {"round_to": 0}, {"min_width": -3}, {"round_to": 1.5}])
def test_numbers_below_one_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        WidthRules(**rules)


def test_a_later_step_never_widens_a_group() -> None:
    projection = Projection.build(NETWORK, "macs<=30%")
    before = np.array([8, 3, 12])

    widths = projection.step(before, projection.budget).of_logits([5, 5, 5])

    assert (widths <= before).all()
    assert projection.holds(widths)


def test_no_wish_to_leave_a_plan_gives_the_plan_and_any_wish_stays_within_the_budget() -> None:
    projection = Projection.build(traced("residual").network, "macs<=60%")
    prior = projection.of_logits(np.linspace(-6, 6, len(projection.ladders)))

    assert (projection.around(prior, np.zeros(len(prior))) == prior).all()
    moved = [projection.around(prior, wish) for wish in np.random.default_rng(0).normal(0, 2, (20, len(prior)))]
    assert all(projection.holds(widths) for widths in moved)
    assert len({tuple(widths) for widths in moved}) > 1


@pytest.mark.parametrize("rules", [WidthRules(), WidthRules(min_width=3, round_to=4, keep=("1.*",))])
def test_a_wish_is_the_largest_member_of_its_family_that_is_within_the_budget(rules: WidthRules) -> None:
    """`of_logits` and `around` bisect over the widths that can be reached, `of_family` over the shift itself."""
    projection = Projection.build(wide(), "macs<=45%,params<=60%", rules)
    sizes, rng = projection.network.widths.astype(float), np.random.default_rng(0)
    prior = projection.of_logits(rng.normal(0, 1, 4))
    slope = np.maximum(prior / sizes * (1 - prior / sizes), 0.1)
    for z in rng.normal(0, 2, (30, 4)):
        logits = projection.of_family(lambda shift, z=z: sizes / (1 + np.exp(-z - shift)), -60, 60)
        moved = projection.of_family(
            lambda shift, z=z: sizes * (prior / sizes + slope * (z + shift)).clip(0, 1), -40, 40
        )
        assert (projection.of_logits(z) == logits).all()
        assert (projection.around(prior, z) == moved).all()


@pytest.mark.parametrize("constraint", [None, 0.5, 50, ["macs<=50%"]])
def test_what_is_no_limit_is_refused_with_one(constraint: object) -> None:
    for read in (as_constraints, lambda found: Budget.of(found, DENSE)):
        with pytest.raises(ConfigError, match="write for example macs<=50%"):
            read(constraint)
