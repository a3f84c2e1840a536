"""A search that was interrupted and goes on ends as one that never stopped, whatever searches."""

import copy
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.errors import ArtifactError, ConfigError, EvaluationError, ResourceError, RunInUse
from gnnrl.pruning.rules import WidthRules
from gnnrl.runs.directory import RunDirectory
from gnnrl.searchers.table import CLOSED_FORM, SEARCHERS
from gnnrl.searchers.task import Task
from gnnrl.storage.journal import Journal
from tests.compression.tiny import batches, near
from tests.runs.searches import EPISODES, counting, model, outcome, search
from tests.storage.disks import full_disk


@pytest.mark.parametrize("searcher", sorted(set(SEARCHERS) - CLOSED_FORM))
def test_every_searcher_ends_as_if_it_had_never_stopped(searcher: str, tmp_path: Path) -> None:
    unbroken = search(searcher=searcher)
    for stop in (3, 6):
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "run", searcher=searcher, stop=stop)
    evaluate, calls = counting()
    resumed = search(tmp_path / "run", searcher=searcher, evaluate=evaluate)

    assert outcome(resumed) == outcome(unbroken)
    # the first process judged two plans, the second three more; the dense network and the results are judged anew
    assert len(calls) == 1 + len(unbroken.history) - 7 + 3


def test_every_point_is_a_point_to_stop(tmp_path: Path) -> None:
    unbroken = outcome(search())
    stops = itertools.count()
    for number in stops:
        try:
            found = search(tmp_path / "run", stop=2 + number % 3)
        except KeyboardInterrupt:
            continue
        break
    assert outcome(found) == unbroken
    assert number > 3


def test_a_users_own_searcher_goes_on_too(tmp_path: Path) -> None:
    def own(task: Task) -> None:
        """Searches with a memory of its own, and with global random numbers."""
        torch.manual_seed(task.seed)
        seen: list[float] = []
        while True:
            share = float(torch.rand(())) + (np.mean(seen) if seen else 0.0)
            wish = np.cos(np.arange(len(task.curves)) * share)
            seen.append(task.score(task.plan(task.projection, wish)))

    def noisy(network: nn.Module) -> float:
        """Moves every global generator, as data loaders do."""
        return random.random() + float(torch.rand(())) + np.random.rand() + float(judge(network))

    judge, state = near(model()), torch.get_rng_state()
    unbroken = search(searcher=own, evaluate=noisy)
    torch.set_rng_state(state)

    calls = itertools.count()

    def failing(network: nn.Module) -> float:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return noisy(network)

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run", searcher=own, evaluate=failing)
    assert outcome(search(tmp_path / "run", searcher=own, evaluate=noisy)) == outcome(unbroken)


def test_a_run_does_not_change_what_a_search_finds(tmp_path: Path) -> None:
    assert outcome(search(tmp_path / "run")) == outcome(search())


def test_a_finished_search_judges_nothing_again(tmp_path: Path) -> None:
    first = search(tmp_path / "run")
    content = (tmp_path / "run" / "journal.jsonl").read_bytes()
    evaluate, calls = counting()
    assert outcome(search(tmp_path / "run", evaluate=evaluate)) == outcome(first)
    assert len(calls) == 4  # dense for the reward; dense, pruned and repaired for the result
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == content


def test_more_evaluations_go_on_from_those_that_are_there(tmp_path: Path) -> None:
    first = search(tmp_path / "run", episodes=6)
    evaluate, _ = counting(4)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "run", episodes=12, evaluate=evaluate)
    more = search(tmp_path / "run", episodes=12)
    assert more.history[:6] == first.history
    assert len(more.history) == 12
    assert more.reward >= first.reward
    search(tmp_path / "other", episodes=6)
    assert outcome(search(tmp_path / "other", episodes=12)) == outcome(more)
    with pytest.raises(ConfigError, match="12 evaluations, more than 6"):
        search(tmp_path / "run", episodes=6)


CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "seed": lambda: {"seed": 1},
    "searcher": lambda: {"searcher": "random"},
    "constraint": lambda: {"constraint": "macs<=60%"},
    "repair": lambda: {"repair": "bn"},
    "importance": lambda: {"importance": "l2"},
    "rules": lambda: {"rules": WidthRules(min_width=2)},
    "calibration_images": lambda: {"calibration_images": 33},
    "weights": lambda: {"model": changed()},
    "reward of the dense network": lambda: {"evaluate": lambda network: 3.0},
    "error curves": lambda: {"calibration": batches(seed=5)},
}


def changed() -> nn.Module:
    other = copy.deepcopy(model())
    next(other.parameters()).data[0] += 1e-6
    return other


@pytest.mark.parametrize("key", CHANGES)
def test_what_was_changed_is_named_and_refused(key: str, tmp_path: Path) -> None:
    search(tmp_path / "run", episodes=2)
    content = (tmp_path / "run" / "journal.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=f"started on something else: .*{key} was"):
        search(tmp_path / "run", episodes=2, **CHANGES[key]())
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == content


def test_another_search_than_the_journals_is_noticed(tmp_path: Path) -> None:
    def own(first: int) -> Any:
        def unsteady(task: Task) -> None:
            for wish in (first, first + 1):
                task.score(task.plan(task.projection, np.linspace(-wish, wish, len(task.curves))))

        return unsteady

    search(tmp_path / "run", searcher=own(1))
    with pytest.raises(
        ArtifactError, match=r"another plan than the journal has in evaluation 1 .*function of task and seed"
    ):
        search(tmp_path / "run", searcher=own(2))

    def unsteady(task: Task) -> None:
        task.score(task.plan(task.projection, np.linspace(-1, 1, len(task.curves))))

    with pytest.raises(ArtifactError, match="ended before the journal's evaluation 2"):
        search(tmp_path / "run", searcher=unsteady)


@pytest.mark.parametrize(("error", "raised"), [(RuntimeError, EvaluationError), (MemoryError, ResourceError)])
def test_a_reward_that_fails_loses_nothing(error: type[Exception], raised: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(raised) as caught:
        search(tmp_path / "run", stop=5, error=error)
    assert "The work up to this error is kept in" in caught.value.__notes__[0]
    kinds = [record["kind"] for record in Journal(tmp_path / "run" / "journal.jsonl").records]
    assert kinds == ["search", *["trial"] * 4, "failure"]
    assert outcome(search(tmp_path / "run")) == outcome(search())


def test_a_reward_that_is_no_number_loses_nothing(tmp_path: Path) -> None:
    values = iter([1.0, 2.0, float("nan")])
    with pytest.raises(EvaluationError, match="nan"):
        search(tmp_path / "run", evaluate=lambda network: next(values))
    record = Journal(tmp_path / "run" / "journal.jsonl").records[-1]
    assert (record["kind"], record["number"]) == ("failure", 1)
    assert "nan" in record["error"]


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    search(tmp_path / "run", episodes=2)
    size = (tmp_path / "run" / "journal.jsonl").stat().st_size
    with pytest.raises(ResourceError, match="free space"), full_disk(size + 300):
        search(tmp_path / "run", episodes=EPISODES)
    search(tmp_path / "other", episodes=2)
    assert outcome(search(tmp_path / "run")) == outcome(search(tmp_path / "other"))


def test_a_run_that_did_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        search(tmp_path / "run", importance="unknown")
    with pytest.raises(EvaluationError):
        search(tmp_path / "run", stop=0, error=ValueError)
    assert not [*tmp_path.iterdir()]


def test_two_searches_do_not_share_a_run(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run"), pytest.raises(RunInUse):
        search(tmp_path / "run")


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    search(tmp_path / "run", episodes=2)
    for record in (
        {"kind": "dance"},
        {"kind": "trial", "number": 7, "widths": [1], "score": 1.0, "macs": 1, "seconds": 1.0},
        {"kind": "trial", "number": 2, "widths": [1, -1], "score": 1.0, "macs": 1, "seconds": 1.0},
        {"kind": "trial", "number": 2, "widths": "os.system", "score": 1.0, "macs": 1, "seconds": 1.0},
        {"kind": "trial", "number": 2, "widths": [1], "score": "1", "macs": 1, "seconds": 1.0},
    ):
        path = tmp_path / "run" / "journal.jsonl"
        content, journal = path.read_bytes(), Journal(path)
        journal.append(**json.loads(json.dumps(record)))
        journal.close()
        with pytest.raises(ArtifactError, match="line 4"):
            search(tmp_path / "run", episodes=2)
        path.write_bytes(content)
