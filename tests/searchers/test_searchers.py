from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import ActorCritic, Policy
from gnnrl.agent.ppo import PPOConfig
from gnnrl.errors import ConfigError
from gnnrl.evaluation import Evaluator, Trial
from gnnrl.network.tracer import trace
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.importance import importance
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from gnnrl.searchers.ppo import PPOSearcher
from gnnrl.searchers.table import CLOSED_FORM, SEARCHERS, find_searcher
from gnnrl.searchers.task import BudgetSpent, Task, run
from tests.topologies import Head, Traced, conv, images, traced


@cache
def case() -> Traced:
    """Four groups of 16 to 48 channels, so that there are many plans."""
    torch.manual_seed(0)
    model = nn.Sequential(conv(3, 16), conv(16, 32), conv(32, 48), conv(48, 24), Head(24)).eval()
    return Traced("wide", model, images(), trace(model, images()))


CASE = case()
TARGET = np.array([16, 8, 40, 4])


class Synthetic(Evaluator):
    """A score that needs no network: how near the widths are to a target, 0 at best."""

    def score(self, widths):
        key = tuple(int(width) for width in widths)
        if key not in self._scores:
            self._scores[key] = -float(np.abs((np.array(key) - TARGET) / CASE.network.widths).sum())
            self.trials.append(Trial(len(self.trials), key, self._scores[key], 0, 0.0))
        return self._scores[key]


def task(evaluations: int = 12, seed: int = 0, constraint: str = "macs<=60%", rules: WidthRules | None = None) -> Task:
    scores = importance("l2", CASE.model, CASE.network)
    curves = error_curves(CASE.model, CASE.network, None)
    evaluator = Synthetic(CASE.model, CASE.network, lambda model: 0.0, [curve.order for curve in curves], repair="none")
    return Task(Projection.build(CASE.network, constraint, rules), evaluator, curves, scores, evaluations, seed)


@pytest.mark.parametrize("name", sorted(SEARCHERS))
@pytest.mark.parametrize("evaluations", [1, 2, 15])
def test_no_searcher_spends_more_than_its_budget_or_misses_the_limit(name: str, evaluations: int) -> None:
    work = task(evaluations)
    best = run(SEARCHERS[name], work)

    assert 1 <= len(work.evaluator.trials) <= evaluations
    assert all(work.projection.holds(np.array(trial.widths)) for trial in work.evaluator.trials)
    assert best.score == max(trial.score for trial in work.evaluator.trials)


@pytest.mark.parametrize("name", ["ppo", "random"])
def test_searchers_that_search_use_their_budget(name: str) -> None:
    work = task(15)
    run(SEARCHERS[name], work)

    assert len(work.evaluator.trials) == 15


def bold(observation: Observation, seed: int) -> Policy:
    """gnnrl's own policy with a standard deviation of 1.6 instead of 0.4."""
    return ActorCritic.build(observation, seed=seed, log_std_init=0.5)


def test_the_configured_standard_deviation_is_the_one_that_is_used() -> None:
    shy, wild = task(10), task(10)
    run(PPOSearcher(PPOConfig(log_std_init=-2.0)), shy)
    run(PPOSearcher(PPOConfig(log_std_init=0.5)), wild)

    spread = [np.std([trial.widths for trial in work.evaluator.trials], 0).mean() for work in (shy, wild)]
    assert spread[1] > spread[0]


@pytest.mark.parametrize("name", sorted(SEARCHERS))
def test_the_same_seed_gives_the_same_trials(name: str) -> None:
    histories = []
    for _ in range(2):
        work = task(12, seed=3)
        run(SEARCHERS[name], work)
        histories.append([trial.widths for trial in work.evaluator.trials])

    assert histories[0] == histories[1]


def test_another_seed_gives_other_trials() -> None:
    histories = []
    for seed in (0, 1):
        work = task(12, seed=seed)
        run(SEARCHERS["random"], work)
        histories.append([trial.widths for trial in work.evaluator.trials])

    assert histories[0] != histories[1]


@pytest.mark.parametrize("name", ["ppo", "random"])
def test_rules_hold_for_every_trial(name: str) -> None:
    work = task(10, rules=WidthRules(min_width=4, round_to=4, keep=("0.0",)))
    run(SEARCHERS[name], work)

    for trial in work.evaluator.trials:
        assert trial.widths[0] == 16
        assert all(width % 4 == 0 for width in trial.widths)


def test_plans_judged_before_cost_nothing() -> None:
    work = task(2)
    widths = work.projection.of_logits([0, 0, 0, 0])
    seen = []
    work.on_trial = seen.append

    for _ in range(5):
        work.score(widths)

    assert len(work.evaluator.trials) == len(seen) == 1
    work.score(work.projection.of_logits([3, 0, 0, 0]))
    with pytest.raises(BudgetSpent):
        work.score(work.projection.of_logits([-3, 0, 0, 0]))
    assert work.score(widths) == seen[0].score


def test_ppo_gets_better_than_where_it_starts() -> None:
    """The target lies at the limit, far from the closed-form plan."""
    work = task(80)
    best = run(PPOSearcher(policy=bold), work)
    scores = [trial.score for trial in work.evaluator.trials]

    assert best.score > scores[0] + 0.1
    assert np.mean(scores[-20:]) > np.mean(scores[:20])


def test_ppo_begins_with_the_closed_form() -> None:
    ppo, closed = task(3), task(1)
    run(SEARCHERS["ppo"], ppo)
    run(SEARCHERS["curves"], closed)

    assert ppo.evaluator.trials[0].widths == closed.evaluator.trials[0].widths


def test_ppo_ends_when_there_is_nothing_left_to_find() -> None:
    """All widths but one are fixed by the rules, so there are few plans and a budget that nobody can spend."""
    work = task(30, rules=WidthRules(min_width=16, round_to=16), constraint="macs<=90%")
    run(PPOSearcher(PPOConfig(n_steps=10)), work)

    assert len(work.evaluator.trials) < 2 * 3


@pytest.mark.parametrize("projection", ["exact", "none"])
def test_ppo_plays_several_steps_an_episode(projection) -> None:
    work = task(8)
    best = run(PPOSearcher(steps=2, projection=projection, max_steps=6), work)

    assert work.projection.holds(np.array(best.widths))


def test_uniform_and_ranked_are_the_plans_of_that_name() -> None:
    work, ranked = task(), task()
    run(SEARCHERS["uniform"], work)
    run(SEARCHERS["ranked"], ranked)

    assert work.evaluator.trials[0].widths == Plan.uniform(CASE.network, "macs<=60%").widths
    assert ranked.evaluator.trials[0].widths == Plan.ranked(CASE.network, "macs<=60%", ranked.scores).widths
    assert len(work.evaluator.trials) == 1


def test_a_users_own_searcher_is_any_function_of_a_task() -> None:
    def widest_first(work: Task) -> None:
        work.score(work.projection.of_logits([9, 0, 0, 0]))

    work = task(5)

    assert find_searcher(widest_first) is widest_first
    assert run(widest_first, work).widths[0] == 16


def test_a_searcher_that_judges_nothing_is_an_error() -> None:
    from gnnrl.errors import EvaluationError

    with pytest.raises(EvaluationError, match="no plan was judged"):
        run(lambda work: None, task())


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"unknown searcher 'ppoo'; did you mean ppo\?.*ranked"):
        find_searcher("ppoo")
    with pytest.raises(ConfigError, match="there are"):
        find_searcher("zzz")


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one evaluation"):
        run(SEARCHERS["uniform"], task(0))


def test_closed_forms_are_searchers() -> None:
    assert set(SEARCHERS) > CLOSED_FORM


def test_signals_are_finite_and_of_one_length() -> None:
    signals = task().signals()

    assert signals.shape == (4, 14)
    assert signals.dtype == np.float32
    assert np.isfinite(signals).all()
    assert np.abs(signals).max() < 20


def test_rounding_does_not_end_a_long_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "CASE", traced("inverted_residual"))
    monkeypatch.setitem(globals(), "TARGET", np.array([8, 4, 16]))

    run(PPOSearcher(), task(120, seed=3))
