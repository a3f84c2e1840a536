"""Allocation: the closed form and its weighted siblings."""

from itertools import product

import numpy as np
import pytest

from tests.pruning.curves import NETWORK, allocation


@pytest.mark.parametrize("seed", range(5))
def test_plans_are_within_the_limit_and_nearly_as_good_as_the_best_of_all_plans(seed: int) -> None:
    found = allocation(seed=seed)
    widths = found.widths()
    assert found.projection.holds(widths)
    everything = np.array(list(product(*(range(1, group.size + 1) for group in NETWORK.groups))))
    allowed = everything[found.projection.hold(everything)]
    best = found.errors_at(allowed).sum(1).min()
    assert found.errors_at(widths).sum() <= best + 0.05 * found.errors.max(where=np.isfinite(found.errors), initial=0)


def test_a_larger_wish_gives_its_group_more_and_the_common_part_of_wishes_decides_nothing() -> None:
    found = allocation()
    for group in range(len(NETWORK.groups)):
        wish = np.zeros(len(NETWORK.groups))
        wish[group] = 3.0
        assert found.widths(wish)[group] >= found.widths()[group]
        assert found.widths(-wish)[group] <= found.widths()[group]
    assert (found.widths(np.full(len(NETWORK.groups), 1.0)) == found.widths()).all()


def test_many_wishes_at_once_are_the_plans_of_each_before_they_are_filled_up() -> None:
    found = allocation("macs<=40%,params<=60%")
    wishes = np.random.default_rng(1).normal(0, 1, (6, len(NETWORK.groups)))
    many = found.many(wishes)
    assert found.projection.hold(many).all()
    for wish, widths in zip(wishes, many, strict=True):
        assert (found.many(wish[None])[0] == widths).all()
        assert (found.widths(wish) >= widths).all()


def test_a_limit_that_the_dense_network_meets_leaves_it_whole() -> None:
    assert (allocation("macs<=1e15").widths() == NETWORK.widths).all()
