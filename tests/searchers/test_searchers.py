import sys
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import ActorCritic, Policy
from gnnrl.agent.ppo import PPOConfig
from gnnrl.errors import ConfigError
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.importance import importance
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from gnnrl.scoring.plans import Evaluator, Judge, Judgement, Seconds
from gnnrl.searchers import sampling
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
SEARCHING = sorted(set(SEARCHERS) - CLOSED_FORM)
FROM_THE_PRIOR = ("annealing", "cma", "ddpg", "evolution", "ppo", "random-prior", "tpe")


class Synthetic:
    """A score that needs no network: how near the widths are to a target, 0 at best; notes what was judged together."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def start(self, judge: Judge) -> None:
        """Nothing is needed."""

    def map(self, plans):
        self.batches.append(len(plans))
        for widths in plans:
            score = -float(np.abs((np.array(widths) - TARGET) / CASE.network.widths).sum())
            yield Judgement(score, 0, 0.0, Seconds())

    def close(self) -> None:
        """Nothing runs."""


def task(evaluations: int = 12, seed: int = 0, constraint: str = "macs<=60%", rules: WidthRules | None = None) -> Task:
    scores = importance("l2", CASE.model, CASE.network)
    curves = error_curves(CASE.model, CASE.network, None)
    judge = Judge(CASE.model, CASE.network, lambda model: 0.0, [curve.order for curve in curves], repair="none")
    evaluator = Evaluator(judge, executor=Synthetic())
    return Task(Projection.build(CASE.network, constraint, rules), evaluator, curves, scores, evaluations, seed)


@pytest.mark.parametrize("name", sorted(SEARCHERS))
@pytest.mark.parametrize("evaluations", [1, 2, 15])
def test_no_searcher_spends_more_than_its_budget_or_misses_the_limit(name: str, evaluations: int) -> None:
    work = task(evaluations)
    best = run(SEARCHERS[name], work)

    assert 1 <= len(work.evaluator.trials) <= evaluations
    assert all(work.projection.holds(np.array(trial.widths)) for trial in work.evaluator.trials)
    assert best.score == max(trial.score for trial in work.evaluator.trials)


@pytest.mark.parametrize("name", SEARCHING)
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


@pytest.mark.parametrize("name", SEARCHING)
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


@pytest.mark.parametrize("imitations", [0, 40])
def test_ppo_comes_near_the_best_of_thousands_of_wishes(imitations: int) -> None:
    """The target lies at the limit, far from the closed-form plan."""
    work = task(30)
    best = run(PPOSearcher(policy=bold, imitations=imitations), work)
    wishes = np.random.default_rng(0).normal(0, 2, (2000, len(TARGET)))
    plans = Allocation.build(work.projection, work.curves).many(wishes)
    possible = -np.abs((plans - TARGET) / CASE.network.widths).sum(1).min()

    assert possible - best.score < 0.2 * (possible - work.evaluator.trials[0].score)


@pytest.mark.parametrize("name", FROM_THE_PRIOR)
def test_warm_searchers_begin_with_the_closed_form(name: str) -> None:
    warm, closed = task(3), task(1)
    run(SEARCHERS[name], warm)
    run(SEARCHERS["curves"], closed)

    assert warm.evaluator.trials[0].widths == closed.evaluator.trials[0].widths


def test_ppo_ends_when_there_is_nothing_left_to_find() -> None:
    """All widths but one are fixed by the rules, so there are few plans and a budget that nobody can spend."""
    work = task(30, rules=WidthRules(min_width=16, round_to=16), constraint="macs<=90%")
    run(PPOSearcher(PPOConfig(n_steps=10)), work)

    assert len(work.evaluator.trials) < 2 * 3


@pytest.mark.parametrize("name", SEARCHING)
def test_every_search_ends_when_all_plans_are_known(name: str) -> None:
    work = task(8, rules=WidthRules(min_width=16, round_to=16), constraint="macs<=90%")
    run(SEARCHERS[name], work)

    assert len(work.evaluator.trials) <= 4


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


@pytest.mark.parametrize(
    ("widths", "told"),
    [
        (lambda work: work.network.widths, "beyond macs<="),
        (lambda work: np.ones(len(work.network.groups)), "may have 8 to"),
        (lambda work: [8], "one width for each of the"),
        (lambda work: None, "one width for each of the"),
        (lambda work: np.full(len(work.network.groups), np.nan), "got nan"),
    ],
)
def test_a_users_own_searcher_cannot_leave_rules_and_limit(widths, told: str) -> None:
    work = task(rules=WidthRules(min_width=8))
    with pytest.raises(ConfigError, match=told):
        run(lambda work: work.score(widths(work)), work)
    assert not work.evaluator.trials


def test_a_users_own_searcher_that_fails_is_named_with_its_line() -> None:
    def stumble(work: Task) -> None:
        work.score(work.prior(work.projection))
        raise KeyError("conv9")

    with pytest.raises(ConfigError, match=r"searcher stumble failed at .*test_searchers\.py:\d+: KeyError: 'conv9'"):
        run(stumble, task())


def test_a_searcher_that_judges_nothing_is_an_error() -> None:
    from gnnrl.errors import EvaluationError

    with pytest.raises(EvaluationError, match="no plan was judged"):
        run(lambda work: None, task())


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"unknown searcher 'ppoo'; did you mean ppo\?.*ranked"):
        find_searcher("ppoo")
    with pytest.raises(ConfigError, match="there are"):
        find_searcher("zzz")


def test_a_searcher_is_found_by_class_and_by_name_of_its_module(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    def __call__(self, task):\n        task.marked = 1\nNUMBER = 3\n"
    )

    assert isinstance(find_searcher(PPOSearcher), PPOSearcher)
    assert find_searcher("gnnrl.searchers.sampling:random") is sampling.random
    assert type(find_searcher("mine.py:Mine")).__name__ == "Mine"
    with pytest.raises(ConfigError, match=r"did you mean Mine\?"):
        find_searcher("mine.py:Mina")
    with pytest.raises(ConfigError, match=r"no file nowhere\.py"):
        find_searcher("nowhere.py:Mine")
    with pytest.raises(ConfigError, match="not callable"):
        find_searcher(3)


def test_other_packages_offer_searchers_as_entry_points(tmp_path, monkeypatch) -> None:
    """A package as pip would install it: a module, and its metadata beside it."""
    metadata = tmp_path / "foreign-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[gnnrl.searchers]\nwidest = foreign_search:widest\nbroken = foreign_search:gone\n"
    )
    (tmp_path / "foreign_search.py").write_text(
        "def widest(task):\n    task.score(task.projection.of_logits([9, 0, 0, 0]))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    assert run(find_searcher("widest"), task(5)).widths[0] == 16
    with pytest.raises(ConfigError, match="did you mean widest"):
        find_searcher("widst")
    with pytest.raises(ConfigError, match=r"'broken' \(foreign_search:gone\) cannot be imported"):
        find_searcher("broken")


@pytest.mark.parametrize(("name", "package"), [("cma", "cma"), ("tpe", "optuna")])
def test_a_missing_package_names_its_extra(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    message = rf"{package} is not installed; run: .*pip install 'cma.*' 'optuna"
    with pytest.raises(ConfigError, match=message):
        find_searcher(name)
    with pytest.raises(ConfigError, match=message):
        run(SEARCHERS[name], task(3))


@pytest.mark.parametrize("name", ["cma", "tpe", "evolution", "annealing", "greedy", "amc", "random", "random-prior"])
def test_searchers_leave_the_random_state_of_the_process_alone(name: str) -> None:
    np.random.seed(5)
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    run(SEARCHERS[name], task(15))

    assert (np.random.get_state()[1] == before[0]).all()
    assert torch.equal(torch.random.get_rng_state(), before[1])


@pytest.mark.parametrize("name", ["cma", "tpe", "evolution", "annealing", "greedy"])
def test_searchers_that_learn_come_nearer_to_the_target_than_the_closed_form(name: str) -> None:
    closed = run(SEARCHERS["curves"], task(1)).score
    found = [run(SEARCHERS[name], task(30, seed=seed)).score for seed in range(2)]

    assert np.mean(found) > closed + 0.5


@pytest.mark.parametrize("name", SEARCHING)
def test_a_network_of_one_group_can_be_searched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(conv(3, 24), Head(24)).eval()
    monkeypatch.setitem(globals(), "CASE", Traced("one", model, images(), trace(model, images())))
    monkeypatch.setitem(globals(), "TARGET", np.array([7]))

    assert run(SEARCHERS[name], task(4)).widths[0] <= 24


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

    work = task(120, seed=3)
    best = run(PPOSearcher(), work)

    assert best.score > work.evaluator.trials[0].score
    assert len(work.evaluator.trials) > 20


@pytest.mark.parametrize("name", SEARCHING)
def test_plans_judged_together_are_those_judged_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    together, alone = task(24, seed=3), task(24, seed=3)
    run(SEARCHERS[name], together)
    monkeypatch.setattr("gnnrl.searchers.task._TOGETHER", 1)
    run(SEARCHERS[name], alone)

    assert together.evaluator.trials == alone.evaluator.trials
    assert batches(alone) == [1] * 24
    assert (max(batches(together)) > 1) == (name not in {"amc", "annealing", "ddpg"})


def batches(work: Task) -> list[int]:
    assert isinstance(work.evaluator.executor, Synthetic)
    return work.evaluator.executor.batches


def test_a_batch_costs_what_its_plans_cost_one_by_one() -> None:
    work, seen = task(3), []
    work.on_trial = seen.append
    plans = [work.projection.of_logits([logit, 0, 0, 0]) for logit in (-3, 0, 3)]
    first, second, third = plans

    scores = work.score_all([second, first, second])

    assert scores[0] == scores[2] == work.score(second)
    assert scores[1] == work.score(first)
    assert [trial.widths for trial in seen] == [tuple(second), tuple(first)]
    with pytest.raises(BudgetSpent):
        work.score_all([first, third, work.prior(work.projection), third])
    assert [trial.widths for trial in work.evaluator.trials] == [tuple(plan) for plan in (second, first, third)]
    assert batches(work) == [2, 1]


def test_what_was_asked_for_counts_and_is_known_before_it_is_judged() -> None:
    work = task(2)
    plan = work.prior(work.projection)
    assert not work.is_known(plan)
    work.ask(plan)

    assert work.used == 1
    assert not work.evaluator.trials
    assert work.is_known(plan)
    assert work.known(plan) == work.evaluator.trials[0].score
