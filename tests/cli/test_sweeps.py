"""A sweep that was interrupted goes on as a sweep: finished limits are kept, that in hand goes on, the rest follow."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from gnnrl.artifacts import bundle
from gnnrl.cli import follower, preparing
from gnnrl.storage.files import digest
from gnnrl.zoo.digits import DIGITS_WEIGHTS
from gnnrl.zoo.models import resolve_model
from tests.cli.running import prune, refused, run

SEARCH = ("--searcher", "evolution", "--episodes", "3", "--metric", "loss", "--calibration-images", "32")
PRUNE = ("prune", "--model", "digits-resnet", "--weights", str(DIGITS_WEIGHTS), "--data", "digits", "--threads", "1")
COMMON = (*PRUNE, *SEARCH, "--finetune-epochs", "0", "--out", "swept")
SWEEP = (*COMMON, "--sweep", "70%,50%,30%")
FOLDERS = ["macs-70", "macs-50", "macs-30"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def stopped(*arguments: str, limit: int = 2, error: BaseException | None = None) -> Result:
    """Run a sweep that gets Ctrl-C, or meets an error, while it judges the second plan of a limit."""
    judged = [0] * 9

    class Stopping(follower.Follower):
        limit = 0

        def begin(self, stage: str) -> None:
            super().begin(stage)
            self.limit += stage == "search"

        def judged(self, trial: Any) -> None:
            judged[self.limit] += 1
            if (self.limit, judged[self.limit]) == (limit, 2):
                if error is not None:
                    raise error
                signal.raise_signal(signal.SIGINT)
            super().judged(trial)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "Follower", Stopping)
        return run(*arguments)


def trials(result: str | Path) -> list[Any]:
    lines = [json.loads(line) for line in (Path(result) / "run" / "journal.jsonl").read_text().splitlines()]
    return [(line["widths"], line["score"]) for line in lines if line["kind"] == "trial"]


def outcome(folder: Path) -> list[Any]:
    points = json.loads((folder / "sweep.json").read_text())["points"]
    names = ("constraint", "size", "macs", "params", "reward", "score", "evaluations")
    told = [{name: point[name] for name in names} for point in points]
    return [told, [(trials(folder / name), digest(folder / name / "weights.safetensors")) for name in FOLDERS]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "swept"
    found = run(*COMMON[:-1], str(folder), "--sweep", "70%,50%,30%")
    assert found.exit_code == 0, found.output
    return folder


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep that was interrupted in its second limit."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "200")
        told = stopped(*SWEEP)
    assert told.exit_code == 130, told.output
    assert told.stderr.count("Resume with: gnnrl resume swept\n") == 1
    assert "resume swept/macs" not in told.stderr
    return folder


def here(folder: Path) -> None:
    shutil.copytree(folder, ".", dirs_exist_ok=True)


def test_an_interrupted_sweep_goes_on_with_the_limit_in_hand_and_the_rest(interrupted: Path, finished: Path) -> None:
    here(interrupted)
    assert sorted(path.name for path in Path("swept").iterdir() if path.is_dir()) == ["macs-50.run", "macs-70"]
    kept = Path("swept/macs-70/manifest.json").stat()
    begun = Path("swept/macs-50.run/journal.jsonl").read_text()
    resumed = run("resume", "swept", "--json")

    assert resumed.exit_code == 0, resumed.output
    facts = json.loads(resumed.stdout)
    assert [point["out"] for point in facts["points"]] == [f"swept/{name}" for name in FOLDERS]
    assert outcome(Path("swept")) == outcome(finished)
    assert Path("swept/macs-70/manifest.json").stat() == kept
    assert Path("swept/macs-50/run/journal.jsonl").read_text().startswith(begun)
    assert all(f"{name}/report.html" in Path("swept/report.html").read_text() for name in FOLDERS)
    assert [path.name for path in Path().iterdir()] == ["swept"]
    assert not list(Path("swept").glob("*.run"))

    again = run("resume", "swept")
    assert (again.exit_code, again.stdout) == (0, "swept is finished; there is nothing to resume.\n")
    assert run("resume", "swept", "--extend", "2").exit_code == 2


def test_the_same_command_says_how_to_go_on_and_a_limit_is_not_gone_on_with_alone(interrupted: Path) -> None:
    here(interrupted)
    again = run(*SWEEP)
    assert again.exit_code == 2
    assert "swept.run holds an interrupted run: resume it with `gnnrl resume swept`" in again.stderr
    for alone in (("resume", "swept/macs-50"), ("resume", "swept/macs-70", "--extend", "2")):
        refused = run(*alone)
        assert refused.exit_code == 2
        assert "one limit of a sweep that has not ended; resume it with: gnnrl resume swept" in refused.stderr


def test_force_begins_an_interrupted_sweep_anew(interrupted: Path, finished: Path) -> None:
    here(interrupted)
    first = json.loads(Path("swept/macs-70/run/settings.json").read_text())["id"]
    found = run(*SWEEP, "--force")
    assert found.exit_code == 0, found.output
    assert outcome(Path("swept")) == outcome(finished)
    assert json.loads(Path("swept/macs-70/run/settings.json").read_text())["id"] != first


def test_results_of_before_are_not_taken_for_those_of_a_sweep_that_replaces_them(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, "swept")
    assert stopped(*SWEEP, "--force", limit=1).exit_code == 130
    resumed = run("resume", "swept")
    assert resumed.exit_code == 0, resumed.output
    for name in FOLDERS:
        ids = [json.loads((at / name / "run/settings.json").read_text())["id"] for at in (finished, Path("swept"))]
        assert ids[0] != ids[1]


def test_a_sweep_that_was_killed_around_the_end_of_a_limit_goes_on(interrupted: Path, finished: Path) -> None:
    here(interrupted)
    settings = json.loads(Path("swept/macs-70/run/settings.json").read_text())
    shutil.copytree("swept/macs-70/run", "swept/macs-70.run")  # killed before the run of the limit was removed
    assert run("resume", "swept").exit_code == 0
    assert outcome(Path("swept")) == outcome(finished)
    assert json.loads(Path("swept/macs-70/run/settings.json").read_text()) == settings
    assert not list(Path("swept").glob("*.run"))


def test_a_limit_whose_point_is_lost_is_searched_again(interrupted: Path, finished: Path) -> None:
    here(interrupted)
    journal = Path("swept.run/journal.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b'{"seq":1,"kind":"point"}\n' + b"".join(lines[2:]))
    assert run("resume", "swept").exit_code == 6
    assert run("resume", "swept", "--repair").exit_code == 0
    assert outcome(Path("swept")) == outcome(finished)


def test_an_error_in_a_limit_tells_how_to_go_on_with_the_sweep(finished: Path) -> None:
    from gnnrl.errors import ResourceError

    failed = stopped(*SWEEP, limit=1, error=ResourceError("the disk is full"))
    assert failed.exit_code == 8
    assert "Resume with: gnnrl resume swept" in failed.stderr
    assert run("resume", "swept").exit_code == 0
    assert outcome(Path("swept")) == outcome(finished)


@pytest.mark.parametrize("limits", [["../../evil<=50%"], [], ["macs<=50%", "macs<=50.0%"], "macs<=50%", [3]])
def test_the_limits_of_a_file_are_checked(interrupted: Path, limits: Any) -> None:
    here(interrupted)
    path = Path("swept.run/settings.json")
    settings = json.loads(path.read_text())
    settings["options"]["limits"] = limits
    path.write_text(json.dumps(settings))
    refused = run("resume", "swept")
    assert refused.exit_code in (2, 6), refused.output
    assert "error: " in refused.stderr


def test_a_point_that_is_none_is_refused(interrupted: Path) -> None:
    from gnnrl.storage.journal import Journal

    here(interrupted)
    journal = Journal(Path("swept.run/journal.jsonl"))
    journal.append("point", point={"constraint": "macs<=50%"})
    journal.close()
    refused = run("resume", "swept")
    assert refused.exit_code == 6, refused.output
    assert "is not a valid entry of kind 'point'" in refused.stderr


def test_a_second_sweep_into_the_folder_of_a_finished_one_is_refused(finished: Path) -> None:
    shutil.copytree(finished, "swept")
    before = outcome(Path("swept"))
    refused = run(*COMMON, "--sweep", "40%,20%")
    assert refused.exit_code == 2
    assert "swept holds a sweep; choose another directory, or write its record again with --force" in refused.stderr
    assert outcome(Path("swept")) == before
    assert bundle.read_manifest("swept/macs-50")


def test_a_sweep_saves_a_network_for_each_limit() -> None:
    settings = ("--searcher", "curves", "--finetune-epochs", "0", "--threads", "1", "--calibration-images", "32")
    result = run(*prune("--constraint", "params<=50%", "--sweep", "70%,40%,macs<=50%", "--out", "sweep", *settings))

    assert result.exit_code == 0, result.output
    points = json.loads(Path("sweep/sweep.json").read_text())["points"]
    assert [point["constraint"] for point in points] == ["params<=70%", "params<=40%", "macs<=50%"]
    assert points[0]["size"] > points[2]["size"] > points[1]["size"]
    assert Path("sweep/sweep.svg").is_file()
    page = Path("sweep/report.html")
    text = page.read_text()
    page.unlink()
    assert json.loads(run("report", "sweep", "--json").stdout) == {"report": str(page), "bytes": len(text.encode())}
    assert page.read_text() == text
    for point in points:
        assert point["constraint"] in result.stdout
        bundle.load(resolve_model("digits-resnet"), point["out"])
        link = f"{Path(point['out']).name}/report.html"
        assert f'href="{link}"' in text
        assert (page.parent / link).is_file()


def test_amounts_of_a_sweep_need_one_metric() -> None:
    message = refused(2, *prune("--constraint", "macs<=50%,params<=50%", "--sweep", "70%,40%"))

    assert "write macs<=50% instead of 50%" in message


def test_a_sweep_leaves_other_peoples_files_alone() -> None:
    Path("web").mkdir()
    Path("web/report.html").write_text("my homepage")
    Path("swept/macs-30").mkdir(parents=True)
    Path("swept/macs-30/mine.txt").touch()
    for folder, entry in (("web", "report.html"), ("swept", "macs-30")):
        message = refused(2, *prune("--sweep", "50%,30%", "--searcher", "curves", "--out", folder))
        assert f"{folder} holds {entry}, which no sweep wrote" in message
    assert Path("web/report.html").read_text() == "my homepage"
    assert [path.name for path in Path("swept").iterdir()] == ["macs-30"]
