"""Limits that cannot be met: what prevents it, and what can be reached."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.errors import NothingToPrune, UnreachableConstraint
from gnnrl.network.cost import Budget
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from tests.pruning.test_projection import NETWORK, wide
from tests.topologies import images, traced
from tests.topologies.obstacles import obstructed


def test_an_unreachable_limit_names_what_can_be_reached_and_is_reachable_there() -> None:
    floor = NETWORK.cost.measure(np.ones(3, np.int64)).macs

    with pytest.raises(UnreachableConstraint, match=f"{floor:,} macs"):
        Projection.build(NETWORK, Budget((("macs", floor - 1),)))
    assert Projection.build(NETWORK, Budget((("macs", floor),))).of_logits([0, 0, 0]).tolist() == [1, 1, 1]


def test_a_network_without_groups_says_why() -> None:
    with pytest.raises(NothingToPrune, match="i0 has no rule"):
        Projection.build(traced("without_rule").network, "macs<=50%")


@pytest.mark.parametrize(
    ("rules", "named", "silent"),
    [
        ({"min_width": 8}, ["min_width 8"], ["round_to", "keep", "frozen"]),
        ({"round_to": 12}, ["round_to 12"], ["min_width", "keep", "frozen"]),
        ({"keep": ("1.conv1", "2.*")}, ["keep '2.*'"], ["1.conv1", "round_to", "frozen"]),
        ({"bounds": {"1": (0.9, None)}}, ["bounds 1=0.9:"], ["min_width", "keep", "frozen"]),
    ],
)
def test_a_limit_that_rules_prevent_names_these_rules_only(
    rules: dict[str, Any], named: list[str], silent: list[str]
) -> None:
    with pytest.raises(UnreachableConstraint) as caught:
        Projection.build(NETWORK, "macs<=20%", WidthRules(**rules))

    assert all(name in str(caught.value) for name in named)
    assert not [name for name in silent if name in str(caught.value)]


@pytest.mark.parametrize("metric", ["macs", "params", "bytes"])
@pytest.mark.parametrize("rules", [{}, {"min_width": 7}, {"round_to": 5, "keep": ("1.conv1",)}])
def test_the_limit_that_a_refusal_offers_can_be_met(metric: str, rules: dict[str, Any]) -> None:
    network = wide() if not rules else NETWORK
    with pytest.raises(UnreachableConstraint) as caught:
        Projection.build(network, f"{metric}<=0.01%", WidthRules(**rules))
    offered = re.search(rf"can be met is ({metric}<=[0-9.]+%)", str(caught.value))

    assert offered
    projection = Projection.build(network, offered[1], WidthRules(**rules))
    assert projection.holds(projection.narrowest)


def test_a_limit_that_frozen_groups_prevent_names_them_with_share_and_line() -> None:
    with pytest.raises(UnreachableConstraint, match=r"Frozen groups hold .*% in .*has no rule at .*:[0-9]+") as caught:
        Projection.build(trace(obstructed(), images()), "macs<=1%")
    assert "min_width" not in str(caught.value)


def test_rules_that_keep_everything_are_not_answered_with_a_limit_of_100_percent() -> None:
    case = traced("chain")
    with pytest.raises(
        UnreachableConstraint, match=r"nothing may be removed that lowers macs\. What prevents"
    ) as caught:
        Projection.build(case.network, "macs<=50%", WidthRules(keep=("*",)))

    assert "100%" not in str(caught.value)


def test_outputs_that_hold_the_rest_are_named_where_nothing_else_does() -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 500))
    network = trace(model, torch.zeros(2, 4))

    with pytest.raises(UnreachableConstraint, match=r"No rule prevents it\. 99\.2% of the MACs .* outputs .*: 2\."):
        Projection.build(network, "macs<=10%", WidthRules(round_to=1))
