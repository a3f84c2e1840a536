from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from gnnrl.environment.pruning_env import MISSED, PruningEnv
from gnnrl.errors import ConfigError
from gnnrl.pruning.allocation import WISH_BOUND
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from tests.topologies import traced

NETWORK = traced("residual").network
DENSE = NETWORK.cost.measure(NETWORK.widths).macs


def environment(constraint: str = "macs<=50%", rules: WidthRules | None = None, **settings: Any) -> PruningEnv:
    return PruningEnv(Projection.build(NETWORK, constraint, rules), lambda widths: float(widths[0]), **settings)


@pytest.mark.parametrize(
    "settings", [{}, {"steps": 3}, {"projection": "none"}, {"signals": np.ones((3, 4), np.float32)}]
)
@pytest.mark.filterwarnings("ignore:.*we recommend using a symmetric and normalized space:UserWarning")
def test_gymnasium_finds_no_fault(settings: dict[str, Any]) -> None:
    check_env(environment(**settings), skip_render_check=True)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_an_episode_meets_its_limit_exactly_after_its_steps(steps: int) -> None:
    """And uses it up: of what the last step took, nothing could be given back."""
    env = environment(steps=steps)
    rng = np.random.default_rng(0)
    for _ in range(10):
        env.reset()
        ends = []
        for _ in range(steps):
            before = env.widths
            _, reward, terminated, truncated, info = env.step(rng.normal(0, 1, 3).astype(np.float32))
            ends.append(terminated)
            assert not truncated
            assert terminated or reward == 0
        assert ends == [False] * (steps - 1) + [True]
        assert info["macs"] <= 0.5 * DENSE
        assert reward == info["score"] == info["widths"][0]
        for step in np.eye(3, dtype=np.int64):
            wider = info["widths"] + step
            assert (wider > before).any() or NETWORK.cost.measure(wider).macs > 0.5 * DENSE


def test_widths_never_grow_within_an_episode() -> None:
    env = environment(steps=4)
    rng = np.random.default_rng(1)
    for _ in range(10):
        env.reset()
        before = NETWORK.widths
        for _ in range(4):
            info = env.step(rng.normal(0, 2, 3).astype(np.float32))[4]
            assert (info["widths"] <= before).all()
            before = info["widths"]


def test_action_zero_is_the_prior() -> None:
    prior = np.array([10, 5, 8])
    env = environment(decode=lambda projection, wish: projection.settle(prior + wish))
    env.reset()

    info = env.step(np.zeros(3, np.float32))[4]

    assert np.abs(info["widths"] - env.prior).max() <= 1
    assert env.prior.tolist() == Projection.build(NETWORK, "macs<=50%").settle(prior.astype(float)).tolist()


def test_a_larger_action_keeps_more_of_its_group() -> None:
    found = []
    for value in (-2.0, 0.0, 2.0):
        env = environment()
        env.reset()
        found.append(env.step(np.array([0, value, 0], np.float32))[4]["widths"][1])

    assert found == sorted(found)
    assert found[0] < found[2]


def test_actions_beyond_the_bound_count_as_the_bound() -> None:
    widths = []
    for value in (WISH_BOUND, 1e9):
        env = environment()
        env.reset()
        widths.append(env.step(np.array([value, 0, 0], np.float32))[4]["widths"].tolist())

    assert widths[0] == widths[1]


def test_free_steps_accumulate_until_the_limit_holds() -> None:
    env = environment("macs<=30%", projection="none", max_steps=10)
    env.reset()
    history = []
    terminated = False
    while not terminated:
        _, reward, terminated, truncated, info = env.step(np.zeros(3, np.float32))
        assert not truncated
        history.append(info["macs"])

    assert len(history) > 1
    assert history == sorted(history, reverse=True)
    assert history[-2] > 0.3 * DENSE >= history[-1]
    assert reward == info["score"]


def test_free_episodes_that_miss_the_limit_are_cut_off_with_minus_one() -> None:
    env = environment("macs<=30%", projection="none", max_steps=3)
    env.reset()
    keep = np.full(3, -WISH_BOUND, np.float32)

    results = [env.step(keep)[1:4] for _ in range(3)]

    assert results == [(0.0, False, False), (0.0, False, False), (MISSED, False, True)]
    assert (env.widths == NETWORK.widths).all()


def test_free_steps_remove_slowly_but_surely_even_from_narrow_groups() -> None:
    """A share of what is left is remembered below one channel, so small steps add up."""
    env = environment("macs<=40%", projection="none", max_steps=60)
    env.reset()
    small = np.full(3, -WISH_BOUND * 0.9, np.float32)
    for _ in range(60):
        _, _, terminated, truncated, _ = env.step(small)
        if terminated or truncated:
            break

    assert terminated


def test_free_steps_respect_minimum_and_multiples() -> None:
    env = environment("macs<=50%", WidthRules(min_width=4, round_to=2), projection="none", max_steps=20)
    env.reset()
    for _ in range(5):
        widths = env.step(np.full(3, WISH_BOUND, np.float32))[4]["widths"]
        assert (widths >= 4).all()
        assert (widths % 2 == 0).all()


@pytest.mark.parametrize("projection", ["exact", "none"])
def test_the_graph_is_built_anew_after_every_step(projection: Any) -> None:
    env = environment("macs<=20%", steps=3, projection=projection)
    first, _ = env.reset()
    second = env.step(np.ones(3, np.float32))[0]
    third = env.step(np.ones(3, np.float32))[0]

    graphs = [observation["nodes"].nodes for observation in (first, second, third)]
    assert not np.array_equal(graphs[0], graphs[1])
    assert not np.array_equal(graphs[1], graphs[2])
    assert all(env.observation_space.contains(observation) for observation in (first, second, third))


def test_a_reset_starts_from_the_dense_network() -> None:
    env = environment()
    first, info = env.reset()
    env.step(np.ones(3, np.float32))
    again, _ = env.reset()

    assert info["macs"] == DENSE
    assert np.array_equal(first["nodes"].nodes, again["nodes"].nodes)


def test_equal_actions_give_equal_episodes() -> None:
    def play(seed: int) -> list[Any]:
        env = environment(steps=3)
        env.reset(seed=seed)
        rng = np.random.default_rng(7)
        return [env.step(rng.normal(size=3).astype(np.float32))[4]["widths"].tolist() for _ in range(3)]

    assert play(0) == play(1)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"max_steps": 0}, {"projection": "soft"}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="steps and max_steps"):
        environment(**settings)
