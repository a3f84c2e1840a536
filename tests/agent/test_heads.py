import pytest
import torch

from gnnrl.agent.batching import batch
from gnnrl.agent.heads import OFFSET_SCALE, Critic, NodeActor
from gnnrl.errors import ConfigError
from tests.agent.problems import chain
from tests.agent.test_encoder import encoder


def test_first_means_are_zero_for_every_group_of_every_network() -> None:
    assert NodeActor(encoder())(batch([chain(4), chain(7)])).tolist() == [0.0] * 11


def test_offsets_are_added_to_the_means_of_each_observation() -> None:
    actor = NodeActor(encoder(), own_groups=4)
    with torch.no_grad():
        actor.offset.copy_(torch.arange(4.0))  # type: ignore[union-attr]

    assert actor(batch([chain(4), chain(4)])).tolist() == [OFFSET_SCALE * n for n in (0, 1, 2, 3)] * 2


def test_a_value_for_each_observation_whatever_else_is_in_the_batch() -> None:
    critic = Critic(encoder())
    alone = [critic(batch([observation])) for observation in (chain(4), chain(6, seed=1))]

    torch.testing.assert_close(critic(batch([chain(4), chain(6, seed=1)])), torch.cat(alone))


def test_other_numbers_of_groups_are_named() -> None:
    with pytest.raises(ConfigError, match="a policy with offsets decides about 4 groups, but the network has 5, 6"):
        NodeActor(encoder(), own_groups=4)(batch([chain(6), chain(4), chain(5)]))
