"""Networks as data: units, groups and positions."""

import numpy as np

from tests.topologies import traced


def test_kept_units_leave_positions_of_every_dimension_that_they_label() -> None:
    network = traced("chain").network
    kept = [np.arange(group.size - 1) for group in network.groups]

    positions = network.positions(network.alive(kept))

    for group in network.groups:
        for place in group.places:
            left = positions[place.tensor, place.dim]
            assert sorted(left.tolist()) == sorted(place.positions[:-1].ravel().tolist())


def test_units_name_their_groups() -> None:
    network = traced("chain").network

    for group in network.groups:
        owners = [network.owners[place.tensor, place.dim] for place in group.places]
        assert network.groups_along(owners) == {group.index}
    assert network.groups_along([np.zeros(3, np.int64)]) == set()
