"""`gnnrl resume`: what was interrupted goes on, and nothing that a file names is trusted."""

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gnnrl.artifacts import bundle
from gnnrl.errors import ConfigError
from gnnrl.storage.layout import CONTENTS
from tests.cli.commands.searched import SMALL, interrupted, outcome
from tests.cli.running import run

pytestmark = pytest.mark.usefixtures("wide")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_run_that_was_told_to_end_goes_on_as_if_it_never_had(name: str, code: int, finished: Path) -> None:
    stopped = interrupted(2, getattr(signal, name), *SMALL)
    assert stopped.exit_code == code, stopped.output
    assert f"interrupted by {name}" in stopped.stderr
    assert stopped.stderr.count("Resume with: gnnrl resume small") == 1
    assert [path.name for path in Path().iterdir()] == ["small.run"]

    resumed = run("resume", "small", "--json")
    assert resumed.exit_code == 0, resumed.output
    assert json.loads(resumed.stdout)["evaluations"] == 5
    assert outcome() == outcome(str(finished))
    assert [path.name for path in Path().iterdir()] == ["small"]


def test_the_next_command_says_that_there_is_a_run_and_force_begins_anew(finished: Path) -> None:
    interrupted(1, signal.SIGINT, *SMALL)
    again = run(*SMALL)
    assert again.exit_code == 2
    assert "small.run holds an interrupted run: resume it with `gnnrl resume small`, or start again" in again.stderr
    assert run(*SMALL, "--force").exit_code == 0
    assert outcome() == outcome(str(finished))


def test_a_finished_run_says_so_and_can_be_extended(finished: Path) -> None:
    shutil.copytree(finished, "small")
    before = outcome()
    told = run("resume", "small")
    assert (told.exit_code, told.stdout.startswith("small is finished")) == (0, True)
    assert json.loads(run("resume", "small", "--json").stdout)["finished"]
    assert outcome() == before

    stopped = interrupted(6, signal.SIGINT, "resume", "small", "--extend", "3")
    assert stopped.exit_code == 130
    assert outcome() == before, "the result stays until there is a better one"
    assert run("resume", "small", "--extend", "3").exit_code == 2, "it has not ended yet"
    assert run("resume", "small").exit_code == 0
    assert len(outcome()[0]) == 8
    assert outcome()[0][:5] == before[0]


def test_a_result_holds_what_may_be_replaced_and_nothing_else(finished: Path) -> None:
    assert {path.relative_to(finished).as_posix() for path in finished.rglob("*")} == CONTENTS


def test_force_leaves_a_result_alone_that_holds_files_of_the_user(finished: Path) -> None:
    shutil.copytree(finished, "small")
    Path("small/notes.txt").write_text("mine")
    for command in ((*SMALL, "--force"), ("resume", "small", "--extend", "2")):
        refused = run(*command)
        assert refused.exit_code == 2, refused.output
        assert "small holds notes.txt, which does not belong to a saved result" in refused.stderr
    with pytest.raises(ConfigError, match=r"holds notes\.txt"):
        bundle.save("small", torch.nn.Identity(), bundle.read_plan("small"), {}, force=True)
    assert Path("small/notes.txt").read_text() == "mine"
    assert outcome() == outcome(str(finished))


def test_extend_is_offered_where_it_works(finished: Path) -> None:
    shutil.copytree(finished, "small")
    assert run("resume", "small").stdout.endswith("Extend it with: gnnrl resume small --extend 50\n")
    path = Path("small/run/settings.json")
    search = json.loads(path.read_text())
    tuning = {name: value for name, value in search["options"].items() if name not in ("searcher", "episodes")}
    for options in (search["options"] | {"searcher": "curves"}, tuning, None):
        settings = {name: value for name, value in search.items() if name != "options"}
        path.write_text(json.dumps(settings if options is None else settings | {"options": options}))
        told = run("resume", "small")
        assert (told.exit_code, told.stdout) == (0, "small is finished; there is nothing to resume.\n")
        refused = run("resume", "small", "--extend", "50")
        assert refused.exit_code == (6 if options is None else 2)
        assert ("resume it in Python" if options is None else "only a search can be extended") in refused.stderr


def test_a_kill_after_the_very_last_step_is_no_harm(finished: Path) -> None:
    shutil.copytree(finished, "small")
    shutil.copytree("small/run", "small.run")
    assert run("resume", "small").stdout.startswith("small is finished")
    assert [path.name for path in Path().iterdir()] == ["small"]


def test_where_there_is_no_run_it_says_how_to_begin_one() -> None:
    found = run("resume", "small")
    assert found.exit_code == 2
    assert "start one with `gnnrl prune --out small`" in found.stderr


def test_code_that_a_run_names_is_not_imported(finished: Path) -> None:
    Path("evil.py").write_text("raise SystemExit('imported')")
    for place, value, option in (
        (("source", "model"), "evil.py:make", "--model"),
        (("searcher",), "evil:search", "--searcher"),
    ):
        shutil.copytree(finished / "run", "small.run", dirs_exist_ok=True)
        path = Path("small.run/settings.json")
        settings = json.loads(path.read_text())
        inner = settings["options"]
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        path.write_text(json.dumps(settings))
        found = run("resume", "small")
        assert found.exit_code == 2
        assert f"Give it again: gnnrl resume small {option} {value}" in found.stderr
        assert "evil" not in sys.modules


@pytest.mark.parametrize(
    "change",
    [
        {"command": "rm"},
        {"options": {}},
        {"options": None},
        {"options": {"data": "digits", "constraint": "macs<=50%", "source": {"model": 3}}},
        {"options": {"data": "digits", "constraint": "macs<=50%", "source": "x"}},
    ],
)
def test_settings_that_are_none_of_a_job_are_refused(change: dict[str, Any], finished: Path) -> None:
    shutil.copytree(finished / "run", "small.run")
    path = Path("small.run/settings.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    found = run("resume", "small")
    assert found.exit_code == 6, found.output
    assert "Traceback" not in found.output


def test_a_damaged_journal_is_refused_and_repaired_when_told_to(finished: Path) -> None:
    shutil.copytree(finished / "run", "small.run")
    journal = Path("small.run/journal.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], lines[3].replace(b"score", b"scope"), *lines[4:]]))
    found = run("resume", "small")
    assert found.exit_code == 6
    assert "line 4 is damaged" in found.stderr
    mended = run("resume", "small", "--repair")
    assert mended.exit_code == 0, mended.output
    assert "line 4 is damaged" in mended.stderr
    assert outcome() == outcome(str(finished))


def test_the_result_that_is_there_stays_until_the_new_one_is(finished: Path) -> None:
    shutil.copytree(finished, "small")
    before = outcome()
    assert interrupted(1, signal.SIGINT, *SMALL, "--seed", "3", "--force").exit_code == 130
    assert outcome() == before
    assert run("resume", "small").exit_code == 0
    assert outcome() != before
