"""PPO on a problem whose best plan is known."""

import numpy as np
import pytest

from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import ActorCritic, Policy
from gnnrl.agent.ppo import PPOConfig
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.rules import WidthRules
from gnnrl.searchers.ppo import PPOSearcher
from gnnrl.searchers.task import search
from tests.searchers.problem import CASE, TARGET, task
from tests.topologies import traced


def bold(observation: Observation, seed: int) -> Policy:
    """gnnrl's own policy with a standard deviation of 1.6 instead of 0.4."""
    return ActorCritic.build(observation, seed=seed, log_std_init=0.5)


def test_the_configured_standard_deviation_is_the_one_that_is_used() -> None:
    shy, wild = task(10), task(10)
    search(PPOSearcher(PPOConfig(log_std_init=-2.0)), shy)
    search(PPOSearcher(PPOConfig(log_std_init=0.5)), wild)

    spread = [np.std([trial.widths for trial in work.trials], 0).mean() for work in (shy, wild)]
    assert spread[1] > spread[0]


@pytest.mark.parametrize("imitations", [0, 40])
def test_ppo_comes_near_the_best_of_thousands_of_wishes(imitations: int) -> None:
    """The target lies at the limit, far from the closed-form plan."""
    work = task(30)
    best = search(PPOSearcher(policy=bold, imitations=imitations), work)
    wishes = np.random.default_rng(0).normal(0, 2, (2000, len(TARGET)))
    plans = Allocation.build(work.projection, work.curves).many(wishes)
    possible = -np.abs((plans - TARGET) / CASE.network.widths).sum(1).min()

    assert possible - best.score < 0.2 * (possible - work.trials[0].score)


def test_ppo_ends_when_there_is_nothing_left_to_find() -> None:
    """All widths but one are fixed by the rules, so there are few plans and a budget that nobody can spend."""
    work = task(30, rules=WidthRules(min_width=16, round_to=16), constraint="macs<=90%")
    search(PPOSearcher(PPOConfig(n_steps=10)), work)

    assert len(work.trials) < 2 * 3


@pytest.mark.parametrize("projection", ["exact", "none"])
def test_ppo_plays_several_steps_an_episode(projection) -> None:
    work = task(8)
    best = search(PPOSearcher(steps=2, projection=projection), work)

    assert work.projection.holds(np.array(best.widths))


def test_rounding_does_not_end_a_long_search() -> None:
    work = task(120, seed=3, case=traced("inverted_residual"), target=np.array([8, 4, 16]))
    best = search(PPOSearcher(), work)

    assert best.score > work.trials[0].score
    assert len(work.trials) > 20
