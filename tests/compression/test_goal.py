"""Goals: limits that are checked from the trace alone."""

import pytest

import gnnrl
from gnnrl.errors import ConfigError, UnreachableConstraint
from tests.topologies import images, topology


def study(name: str = "residual") -> gnnrl.Study:
    return gnnrl.Study(topology(name).model, images())


def test_a_limit_is_refused_without_any_data() -> None:
    with pytest.raises(UnreachableConstraint, match="the smallest limit that can be met is macs<="):
        study().goal("macs<=0.001%")
    with pytest.raises(ConfigError, match="not a cost"):
        study().goal("speed<=2")


def test_a_goal_knows_whether_the_dense_network_meets_it() -> None:
    found = study()

    assert found.goal("macs<=50%").explain_met() is None
    assert "there is nothing to prune" in str(found.goal("macs<=900M").explain_met())


def test_a_goal_of_another_network_is_refused() -> None:
    goal = study("chain").goal("macs<=50%")

    with pytest.raises(ConfigError, match="made for another network"):
        study().compress(goal)


def test_a_search_without_a_score_is_refused() -> None:
    with pytest.raises(ConfigError, match="a search needs evaluate="):
        study().compress("macs<=50%", searcher="curves")
