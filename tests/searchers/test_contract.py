"""One contract for all searchers."""

import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.rules import WidthRules
from gnnrl.searchers.table import CLOSED_FORM, SEARCHERS
from gnnrl.searchers.task import search
from tests.searchers.problem import batches, task
from tests.topologies import Head, Traced, conv, images

SEARCHING = sorted(set(SEARCHERS) - CLOSED_FORM)


FROM_THE_PRIOR = ("annealing", "cma", "ddpg", "evolution", "ppo", "random-prior", "tpe")


@pytest.mark.parametrize("name", sorted(SEARCHERS))
@pytest.mark.parametrize("evaluations", [1, 2, 15])
def test_no_searcher_spends_more_than_its_budget_or_misses_the_limit(name: str, evaluations: int) -> None:
    work = task(evaluations)
    best = search(SEARCHERS[name], work)

    assert 1 <= len(work.trials) <= evaluations
    assert all(work.projection.holds(np.array(trial.widths)) for trial in work.trials)
    assert best.score == max(trial.score for trial in work.trials)


@pytest.mark.parametrize("name", SEARCHING)
def test_searchers_that_search_use_their_budget(name: str) -> None:
    work = task(15)
    search(SEARCHERS[name], work)

    assert len(work.trials) == 15


@pytest.mark.parametrize("name", sorted(SEARCHERS))
def test_the_same_seed_gives_the_same_trials(name: str) -> None:
    histories = []
    for _ in range(2):
        work = task(12, seed=3)
        search(SEARCHERS[name], work)
        histories.append([trial.widths for trial in work.trials])

    assert histories[0] == histories[1]


def test_another_seed_gives_other_trials() -> None:
    histories = []
    for seed in (0, 1):
        work = task(12, seed=seed)
        search(SEARCHERS["random"], work)
        histories.append([trial.widths for trial in work.trials])

    assert histories[0] != histories[1]


@pytest.mark.parametrize("name", SEARCHING)
def test_rules_hold_for_every_trial(name: str) -> None:
    work = task(10, rules=WidthRules(min_width=4, round_to=4, keep=("0.0",)))
    search(SEARCHERS[name], work)

    for trial in work.trials:
        assert trial.widths[0] == 16
        assert all(width % 4 == 0 for width in trial.widths)


@pytest.mark.parametrize("name", FROM_THE_PRIOR)
def test_warm_searchers_begin_with_the_closed_form(name: str) -> None:
    warm, closed = task(3), task(1)
    search(SEARCHERS[name], warm)
    search(SEARCHERS["curves"], closed)

    assert warm.trials[0].widths == closed.trials[0].widths


@pytest.mark.parametrize("name", SEARCHING)
def test_every_search_ends_when_all_plans_are_known(name: str) -> None:
    work = task(8, rules=WidthRules(min_width=16, round_to=16), constraint="macs<=90%")
    search(SEARCHERS[name], work)

    assert len(work.trials) <= 4


@pytest.mark.parametrize("name", ["cma", "tpe", "evolution", "annealing", "greedy", "amc", "random", "random-prior"])
def test_searchers_leave_the_random_state_of_the_process_alone(name: str) -> None:
    np.random.seed(5)
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    search(SEARCHERS[name], task(15))

    assert (np.random.get_state()[1] == before[0]).all()
    assert torch.equal(torch.random.get_rng_state(), before[1])


@pytest.mark.parametrize("name", ["cma", "tpe", "evolution", "annealing", "greedy"])
def test_searchers_that_learn_come_nearer_to_the_target_than_the_closed_form(name: str) -> None:
    closed = search(SEARCHERS["curves"], task(1)).score
    found = [search(SEARCHERS[name], task(30, seed=seed)).score for seed in range(2)]

    assert np.mean(found) > closed + 0.5


@pytest.mark.parametrize("name", SEARCHING)
def test_a_network_of_one_group_can_be_searched(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(conv(3, 24), Head(24)).eval()
    one = Traced("one", model, images(), trace(model, images()))

    assert search(SEARCHERS[name], task(4, case=one, target=np.array([7]))).widths[0] <= 24


@pytest.mark.parametrize("name", SEARCHING)
def test_plans_judged_together_are_those_judged_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    together, alone = task(24, seed=3), task(24, seed=3)
    search(SEARCHERS[name], together)
    monkeypatch.setattr("gnnrl.searchers.task._TOGETHER", 1)
    search(SEARCHERS[name], alone)

    assert together.trials == alone.trials
    assert batches(alone) == [1] * 24
    assert (max(batches(together)) > 1) == (name not in {"amc", "annealing", "ddpg"})
