import json
from typing import Any

import numpy as np
import pytest
import torch

from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.network.cost import measure
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan, removal_orders
from gnnrl.pruning.rules import WidthRules
from tests.topologies import traced

NETWORK = traced("chain").network
SCORES = [np.arange(8.0), np.arange(16.0)[::-1] + 100, np.arange(12.0) + 1000]


def document() -> dict[str, Any]:
    return Plan.of_widths(NETWORK, [2, 16, 1]).with_kept(SCORES).to_dict()


def test_plans_survive_json() -> None:
    for plan in (Plan.of_widths(NETWORK, [2, 16, 1]), Plan.of_widths(NETWORK, [2, 16, 1]).with_kept(SCORES)):
        assert Plan.from_dict(json.loads(plan.dumps())) == plan


def test_the_most_important_units_are_kept() -> None:
    plan = Plan.of_widths(NETWORK, [2, 3, 1]).with_kept(SCORES)

    assert plan.kept == ((6, 7), (0, 1, 2), (11,))
    assert Plan.of_widths(NETWORK, [2, 3, 1], removal_orders(SCORES)) == plan


def test_units_that_are_chosen_stay_chosen() -> None:
    plan = Plan.of_widths(NETWORK, [2, 3, 1]).with_kept(SCORES)

    assert plan.with_kept([-score for score in SCORES]) == plan


def test_equal_scores_go_by_position() -> None:
    assert removal_orders([np.zeros(3)])[0].tolist() == [0, 1, 2]


def test_uniform_plans_have_equal_ratios() -> None:
    plan = Plan.uniform(NETWORK, "macs<=50%")
    ratios = np.array(plan.widths) / NETWORK.widths

    assert ratios.max() - ratios.min() <= 1 / 8
    assert measure(NETWORK, plan).macs <= 0.5 * measure(NETWORK).macs


def test_ranked_plans_take_from_the_group_with_the_lowest_scores_first() -> None:
    plan = Plan.ranked(NETWORK, "macs<=90%", SCORES)

    assert plan.widths[1:] == (16, 12)
    assert plan.widths[0] < 8
    assert plan.kept is not None
    assert plan.kept[0] == tuple(range(8 - plan.widths[0], 8))


def test_rules_hold_for_plans_too() -> None:
    plan = Plan.uniform(NETWORK, "macs<=50%", WidthRules(keep=("2.0",), round_to=4))

    assert plan.widths[1] == 16
    assert all(width % 4 == 0 for width in plan.widths)


@pytest.mark.parametrize("widths", [[0, 1, 1], [9, 1, 1], [1, 1, -1]])
def test_widths_outside_the_group_are_refused(widths: list[int]) -> None:
    with pytest.raises(ConfigError, match="must be between 1 and"):
        Plan.of_widths(NETWORK, widths)


def damaged(**changes: Any) -> dict[str, Any]:
    found = document()
    found["groups"][0].update(changes)
    return found


DAMAGED = {
    "not an object": [],
    "another format": document() | {"format": 2},
    "no format": {"fingerprint": "x", "groups": []},
    "no fingerprint": {key: value for key, value in document().items() if key != "fingerprint"},
    "a fingerprint that is no text": document() | {"fingerprint": 3},
    "groups that are no list": document() | {"groups": 7},
    "a group that is no object": document() | {"groups": [3]},
    "no width": document() | {"groups": [{"name": "a"}]},
    "a width of zero": damaged(width=0, kept=[]),
    "a width that is no number": damaged(width="2"),
    "a width that is true": damaged(width=True, kept=[1]),
    "a fractional width": damaged(width=2.5),
    "a name that is no text": damaged(name=4),
    "too few units": damaged(kept=[1]),
    "too many units": damaged(kept=[1, 2, 3]),
    "a unit twice": damaged(kept=[1, 1]),
    "units out of order": damaged(kept=[2, 1]),
    "a negative unit": damaged(kept=[-1, 1]),
    "a unit that is no number": damaged(kept=[1, "2"]),
    "units of some groups only": damaged(kept=None),
}


@pytest.mark.parametrize("what", sorted(DAMAGED))
def test_damaged_documents_are_refused(what: str) -> None:
    with pytest.raises(ArtifactError, match=r"damaged|format"):
        Plan.from_dict(DAMAGED[what])


def test_a_plan_of_another_network_is_refused_by_the_groups_that_differ() -> None:
    plan = Plan.uniform(traced("residual").network, "macs<=50%")

    with pytest.raises(ArtifactError, match=r"for another network.*1\.conv1\.0"):
        plan.check(NETWORK)


def test_a_unit_that_the_group_does_not_have_is_refused() -> None:
    plan = Plan(NETWORK.fingerprint, tuple(group.name for group in NETWORK.groups), (1, 1, 1), ((8,), (0,), (0,)))

    with pytest.raises(ArtifactError, match=r"0\.0 with the last at 8, but the group has 8"):
        plan.check(NETWORK)
    Plan.of_widths(NETWORK, [8, 16, 12]).check(NETWORK)


def test_a_plan_of_a_network_with_the_same_names_and_other_sizes_is_refused() -> None:
    def network(width: int) -> Network:
        model = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))
        return trace(model, torch.randn(2, 4))

    with pytest.raises(ArtifactError, match="have other"):
        Plan.uniform(network(16), "macs<=50%").check(network(20))


@pytest.mark.parametrize("widths", [[1], [1] * 9])
def test_a_plan_has_a_width_for_each_group(widths: list[int]) -> None:
    with pytest.raises(ConfigError, match=rf"the network has [0-9]+ groups \(.*\), got {len(widths)} widths"):
        Plan.of_widths(traced("residual").network, widths)
