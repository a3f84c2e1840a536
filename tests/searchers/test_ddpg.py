"""AMC's walk through the groups: what a state says, and what an action stands for."""

import numpy as np
import pytest

from gnnrl.agent.ddpg import DDPG, DDPGConfig
from gnnrl.searchers.ddpg import DDPGSearcher, _Walk
from tests.searchers.problem import CASE, task

GROUPS = len(CASE.network.groups)


def test_states_lie_between_0_and_1_and_know_what_was_removed() -> None:
    walk = _Walk(task(), DDPGSearcher())
    states, actions = walk.play(DDPG(walk.state_dim, DDPGConfig(), seed=1), learning=False)
    removed, rest, last = states[:, -3:].T

    assert states.shape == (GROUPS, walk.state_dim)
    assert states.min() >= -1e-6
    assert states.max() <= 1 + 1e-6
    np.testing.assert_allclose(removed, np.cumsum([0, *(walk.share * (1 - actions))])[:-1], atol=1e-6)
    np.testing.assert_allclose(rest, 1 - np.cumsum(walk.share), atol=1e-6)
    np.testing.assert_allclose(last, [1, *actions[:-1]])


def test_a_half_everywhere_keeps_the_closed_form_or_every_ratio() -> None:
    work, half = task(), np.full(GROUPS, 0.5, np.float32)

    assert _Walk(work, DDPGSearcher()).plan(half).tolist() == work.prior(work.projection).tolist()
    same = work.projection.of_logits(np.zeros(GROUPS))
    assert _Walk(work, DDPGSearcher(start="ratio")).plan(half).tolist() == same.tolist()


@pytest.mark.parametrize("start", ["prior", "ratio"])
def test_a_larger_action_keeps_more_of_its_group(start) -> None:
    walk = _Walk(task(), DDPGSearcher(start=start))
    less, more = (walk.plan(np.array([0.5, action, 0.5, 0.5], np.float32)) for action in (0.2, 0.8))

    assert less[1] < more[1]
