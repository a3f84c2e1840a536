"""A running search in the browser: read from a journal that another process writes, served to this machine only."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from gnnrl.errors import ConfigError
from gnnrl.report.live import find_run, page_of, read_progress, render_progress, serve
from tests.report.results import Page, result


def write_run(folder: Path, plans: int, total: int = 20) -> Path:
    """A run directory as a search writes it, after so many plans."""
    folder.mkdir(exist_ok=True)
    options = {"source": {"model": "<b>net</b>"}, "constraint": "macs<=50%", "metric": "top1"}
    (folder / "settings.json").write_text(json.dumps({"format": 1, "options": options}))
    lines = [{"seq": 0, "kind": "search", "evaluations": total, "crc": "00000000"}]
    for n in range(plans):
        score = 0.5 + (n % 7) / 100
        lines.append({"seq": n + 1, "kind": "trial", "number": n, "widths": [8, 4 + n % 3], "score": score})
        lines[-1] |= {"macs": 10, "seconds": 2.0, "crc": "00000000"}
    (folder / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


@contextmanager
def served(path: Path) -> Iterator[int]:
    server = serve(path)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(port: int, path: str = "/", host: str | None = None) -> tuple[HTTPResponse, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


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


@pytest.mark.parametrize("line", ["[]", "3", '{"kind": "trial"}', "[" * 5000, '{"kind": "trial", "score": "x"}'])
def test_what_is_no_record_ends_a_journal(tmp_path: Path, line: str) -> None:
    run = write_run(tmp_path / "net.run", plans=3)
    with (run / "journal.jsonl").open("a") as file:
        file.write(f"{line}\n")
    (run / "settings.json").write_text("[]")

    assert len(read_progress(run).trials) == 3
    assert "net at its limit" in Page(page_of(run)).text.replace(".run", "")


def test_a_run_is_found_beside_and_inside_its_result(tmp_path: Path) -> None:
    write_run(tmp_path / "net.run", plans=1)

    assert find_run(tmp_path / "net") == find_run(tmp_path / "net.run") == tmp_path / "net.run"
    with pytest.raises(ConfigError, match="there is no run in"):
        find_run(tmp_path / "other")


def test_a_server_follows_a_run_until_its_report_and_answers_this_machine_only(tmp_path: Path) -> None:
    run = write_run(tmp_path / "net.run", plans=2)
    with served(tmp_path / "net") as port:
        response, text = get(port)
        assert response.status == 200
        assert str(response.getheader("Content-Security-Policy")).startswith("default-src 'none'")
        assert Page(text).count("circle") == 2
        write_run(run, plans=5)
        assert Page(get(port)[1]).count("circle") == 5
        assert get(port, "/settings.json")[0].status == 404
        assert get(port, "/../../etc/passwd")[0].status == 404
        assert get(port, host="attacker.example")[0].status == 403
        result().save(tmp_path / "net")
        assert "Asked and got" not in get(port)[1], "of an earlier result, while the run lasts"
        shutil.rmtree(run)
        assert "Asked and got" in get(port)[1]


def test_there_is_no_server_without_a_run_or_on_a_port_that_is_taken(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no run"):
        serve(tmp_path)
    write_run(tmp_path / "net.run", plans=1)
    with served(tmp_path / "net") as port, pytest.raises(ConfigError, match=f"port {port} cannot be used"):
        serve(tmp_path / "net", port)


def test_of_a_sweep_the_limit_in_hand_is_shown(tmp_path: Path) -> None:
    swept = write_run(tmp_path / "net.run", plans=0)
    settings = json.loads((swept / "settings.json").read_text())
    (swept / "settings.json").write_text(json.dumps({**settings, "options": {**settings["options"], "limits": []}}))
    assert "No plan is judged yet" in page_of(tmp_path / "net")
    (tmp_path / "net").mkdir()
    old = write_run(tmp_path / "net" / "macs-70.run", plans=3) / "journal.jsonl"
    os.utime(old, (1, 1))
    write_run(tmp_path / "net" / "macs-50.run", plans=12)
    for given in ("net", "net.run"):
        assert "plan 7" in Page(page_of(tmp_path / given)).text
