"""A running search in the browser: a page that is written again while another process writes the journal."""

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gnnrl.cli.app import app
from gnnrl.errors import ConfigError
from gnnrl.report.live import find_run, follow, read_progress, render_progress
from gnnrl.storage.journal import encode
from tests.report.results import Page, result


def write_run(folder: Path, plans: int, total: int = 20) -> Path:
    """A run directory as a search writes it, after so many plans."""
    folder.mkdir(exist_ok=True)
    options = {"source": {"model": "<b>net</b>"}, "constraint": "macs<=50%", "metric": "top1"}
    (folder / "settings.json").write_text(json.dumps({"format": 1, "options": options}))
    entries = [{"kind": "search", "evaluations": total}]
    for n in range(plans):
        score = 0.5 + (n % 7) / 100
        entries.append({"kind": "trial", "number": n, "widths": [8, 4 + n % 3], "score": score})
        entries[-1] |= {"macs": 10, "seconds": 2.0}
    (folder / "journal.jsonl").write_bytes(b"".join(encode(number, entry) for number, entry in enumerate(entries)))
    return folder


def test_a_page_tells_how_far_a_search_is(tmp_path: Path) -> None:
    progress = read_progress(write_run(tmp_path / "net.run", plans=12))
    page = Page(render_progress(progress, "net"))

    assert (len(progress.trials), progress.total, progress.left) == (12, 20, 16.0)
    for said in ("<b>net</b> at MACs ≤ 50%", "12", "of 20", "56.0%", "plan 7", "16 s"):
        assert said in page.text, said
    assert page.count("circle") == 12
    assert page.count("img", class_="heat") == 1
    assert page.count("meta", http_equiv="refresh") == 0
    assert any(found.get("http-equiv") == "refresh" for _, found in page.elements)


@pytest.mark.parametrize("plans", [0, 1, 20])
def test_a_page_exists_from_the_first_moment_to_the_last(tmp_path: Path, plans: int) -> None:
    text = Page(render_progress(read_progress(write_run(tmp_path / "net.run", plans)), "net")).text

    assert {0: "No plan is judged yet", 1: "The last plan was judged", 20: "All 20 plans are judged"}[plans] in text


def test_a_line_that_is_being_written_waits_for_the_next_time(tmp_path: Path) -> None:
    run = write_run(tmp_path / "net.run", plans=3)
    journal = run / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"seq":4,"kind":"trial","widths":[1')

    assert len(read_progress(run).trials) == 3


NO_TRIALS = [encode(4, {"kind": "trial"}), encode(4, {"kind": "trial", "score": "x"})]
"""Sound lines whose entries are not trials."""


@pytest.mark.parametrize("line", [b"[]\n", b'{"kind": "trial"}\n', b"[" * 5000, *NO_TRIALS])
def test_what_is_no_record_ends_a_journal(tmp_path: Path, line: bytes) -> None:
    run = write_run(tmp_path / "net.run", plans=3)
    with (run / "journal.jsonl").open("ab") as file:
        file.write(line)
    (run / "settings.json").write_text("[]")

    assert len(read_progress(run).trials) == 3
    assert "net at its limit" in Page(render_progress(read_progress(run), "net")).text


def test_a_run_is_found_beside_and_inside_its_result(tmp_path: Path) -> None:
    write_run(tmp_path / "net.run", plans=1)

    assert find_run(tmp_path / "net") == find_run(tmp_path / "net.run") == tmp_path / "net.run"
    with pytest.raises(ConfigError, match="there is no run in"):
        find_run(tmp_path / "other")


def refreshes(page: Path) -> bool:
    return any(found.get("http-equiv") == "refresh" for _, found in Page(page.read_text()).elements)


def test_a_page_follows_a_run_until_its_report(tmp_path: Path) -> None:
    run, page = write_run(tmp_path / "net.run", plans=2), tmp_path / "net.live.html"
    seen = []

    def go_on(seconds: float) -> None:
        seen.append((Page(page.read_text()).count("circle"), refreshes(page), seconds))
        if len(seen) == 1:
            write_run(run, plans=5)
            result().save(tmp_path / "net")  # of an earlier run, while this one lasts
        else:
            write_run(run, plans=7)
            (tmp_path / "net" / "run").mkdir(exist_ok=True)
            for file in run.iterdir():
                file.rename(tmp_path / "net" / "run" / file.name)
            run.rmdir()

    follow(tmp_path / "net", page, go_on)

    assert seen == [(2, True, 2), (5, True, 2)]
    last = Page(page.read_text())
    assert not refreshes(page)
    assert "The run has ended." in last.text
    assert last.count("circle") == 7
    assert "time left" not in last.text
    assert last.count("a", href=(tmp_path / "net" / "report.html").as_uri()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"net", "net.live.html"}

    page.unlink()
    follow(tmp_path / "net", page, lambda seconds: pytest.fail("waited for a run that has ended"))
    assert Page(page.read_text()).text == last.text


def test_a_page_that_is_no_longer_followed_says_so(tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    follow(write_run(tmp_path / "net.run", plans=2), page, interrupt)

    assert "this page is not updated any more." in Page(page.read_text()).text
    assert not Page(page.read_text()).count("a")
    assert not refreshes(page)


def test_a_run_that_is_removed_ends_its_page(tmp_path: Path) -> None:
    run, page = write_run(tmp_path / "net.run", plans=2), tmp_path / "page.html"
    follow(tmp_path / "net", page, lambda seconds: shutil.rmtree(run))

    assert "The run has ended." in Page(page.read_text()).text
    assert Page(page.read_text()).count("circle") == 2
    assert not refreshes(page)


def test_there_is_no_page_without_a_run_or_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no run"):
        follow(tmp_path, tmp_path / "page.html")
    write_run(tmp_path / "net.run", plans=1)
    with pytest.raises(ConfigError, match="cannot write"):
        follow(tmp_path / "net", tmp_path / "net.run" / "journal.jsonl" / "page.html")


def test_the_command_names_the_page_and_ends_with_the_run(tmp_path: Path) -> None:
    result().save(tmp_path / "net")
    write_run(tmp_path / "net" / "run", plans=3)
    told = CliRunner().invoke(app, ["report", "--live", str(tmp_path / "net"), "--port", "80"])
    page = tmp_path / "net.live.html"

    assert told.stdout == f"{page.as_uri()}: open it in a browser; Ctrl-C stops updates\n"
    assert "warning: --port has no effect any more" in told.stderr
    assert Page(page.read_text()).count("circle") == 3


def test_of_a_sweep_the_limit_in_hand_is_shown(tmp_path: Path) -> None:
    def shown(given: str) -> str:
        def stop(seconds: float) -> None:
            raise KeyboardInterrupt

        follow(tmp_path / given, tmp_path / "page.html", stop)
        return Page((tmp_path / "page.html").read_text()).text

    swept = write_run(tmp_path / "net.run", plans=0)
    settings = json.loads((swept / "settings.json").read_text())
    (swept / "settings.json").write_text(json.dumps({**settings, "options": {**settings["options"], "limits": []}}))
    assert "plans0of 20" in shown("net")
    (tmp_path / "net").mkdir()
    old = write_run(tmp_path / "net" / "macs-70.run", plans=3) / "journal.jsonl"
    os.utime(old, (1, 1))
    write_run(tmp_path / "net" / "macs-50.run", plans=12)
    for given in ("net", "net.run"):
        assert "plan 7" in shown(given)
