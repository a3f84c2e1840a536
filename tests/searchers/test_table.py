"""Searchers by name, by class, from files and from other packages."""

import sys

import pytest

from gnnrl.errors import ConfigError
from gnnrl.searchers import baselines
from gnnrl.searchers.ppo import PPOSearcher
from gnnrl.searchers.table import CLOSED_FORM, SEARCHERS, find_searcher
from gnnrl.searchers.task import Task, search
from tests.searchers.problem import task


def test_a_users_own_searcher_is_any_function_of_a_task() -> None:
    def widest_first(work: Task) -> None:
        work.score(work.projection.of_logits([9, 0, 0, 0]))

    work = task(5)

    assert find_searcher(widest_first) is widest_first
    assert search(widest_first, work).widths[0] == 16


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
    assert find_searcher("gnnrl.searchers.baselines:random") is baselines.random
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

    assert search(find_searcher("widest"), task(5)).widths[0] == 16
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
        search(SEARCHERS[name], task(3))


def test_closed_forms_are_searchers() -> None:
    assert set(SEARCHERS) > CLOSED_FORM
