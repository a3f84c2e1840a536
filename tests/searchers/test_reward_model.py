"""The reward model: it finds out how much each curve counts, and says what it does not know."""

import numpy as np

from gnnrl.searchers.reward_model import RewardModel
from tests.pruning.curves import NETWORK, allocation

GROUPS = len(NETWORK.groups)
TRUE = np.linspace(0.02, 0.2, GROUPS)


def judged(count: int, noise: float = 0.0, seed: int = 0) -> tuple[list[np.ndarray], list[float]]:
    """Plans around the closed form, and rewards that fall with their weighted errors."""
    found, rng = allocation(), np.random.default_rng(seed)
    plans = [found.widths(rng.normal(0, 1, GROUPS)) for _ in range(count)]
    return plans, [float(0.9 - found.errors_at(plan) @ TRUE + noise * rng.normal()) for plan in plans]


def test_rewards_of_unseen_plans_are_predicted() -> None:
    found = allocation()
    model = RewardModel.fit(found, *judged(40))
    plans, rewards = judged(20, seed=1)
    predicted = -found.errors_at(np.array(plans)) @ model.mean
    assert np.corrcoef(predicted, rewards)[0, 1] > 0.97


def test_draws_disagree_where_little_is_known_and_agree_later() -> None:
    spreads = []
    for count in (5, 60):
        model, rng = RewardModel.fit(allocation(), *judged(count, noise=1e-3)), np.random.default_rng(0)
        spreads.append(np.std([model.best_wish(rng) for _ in range(50)], axis=0).mean())
    assert spreads[1] < 0.5 * spreads[0]


def test_the_best_wish_is_as_good_as_the_truth() -> None:
    found, model = allocation(), RewardModel.fit(allocation(), *judged(60))
    wish = np.mean([model.best_wish(np.random.default_rng(seed)) for seed in range(20)], axis=0)
    reached, possible, prior = (
        -float(found.errors_at(widths) @ TRUE)
        for widths in (found.widths(wish), found.widths(np.log(TRUE)), found.widths())
    )
    assert reached >= prior
    assert possible - reached <= 0.2 * (possible - prior) + 1e-3


def test_equal_rewards_are_no_reason_to_fail() -> None:
    plans, _ = judged(6)
    model = RewardModel.fit(allocation(), plans, [0.5] * 6)
    assert np.isfinite(model.best_wish(np.random.default_rng(0))).all()
