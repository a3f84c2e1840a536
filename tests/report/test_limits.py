"""The limit that was asked for: whether it is met and by how much, for every kind of limit, on top of every view."""

from dataclasses import asdict

import pytest
from rich.console import Console

from gnnrl.cli.tables import changes
from gnnrl.latency.agreement import LatencyCheck
from gnnrl.report.card import write_card
from gnnrl.report.limits import Asked, headline
from gnnrl.report.notebook import show_result
from gnnrl.report.page import render
from gnnrl.report.record import Record, write_record
from tests.report.results import Page, result

KINDS = (
    (Asked("macs<=60%", 600, 1000, 596), "MACs ≤ 60%: met by 0.4 points"),
    (Asked("macs<=60%", 600, 1000, 612), "MACs ≤ 60%: missed by 1.2 points"),
    (Asked("macs<=60%", 600, 1000, 599.9), "MACs ≤ 60%: met by less than 0.1 points"),
    (Asked("params<=1,500,000", 1.5e6, 4e6, 1.48e6), "parameters ≤ 1,500,000: met by 20 k"),
    (Asked("bytes<=2,000,000", 2e6, 4e6, 2.5e6), "bytes ≤ 2,000,000: missed by 500 kB"),
    (Asked("activations<=50%", 500, 1000, 300), "activations ≤ 50%: met by 20.0 points"),
    (Asked("latency<=5ms", 5.0, 9.0, 4.88), "latency ≤ 5ms: met by 0.12 ms"),
    (Asked("latency<=75%", 0.75, 1.0, 0.76), "latency ≤ 75%: missed by 1.0 points"),
    (Asked("latency<=75%@onnxruntime:int8", 0.75, 1.0, 0.7), "latency ≤ 75% in onnxruntime:int8: met by 5.0 points"),
)


@pytest.mark.parametrize(("asked", "said"), KINDS)
def test_every_view_begins_with_the_limit_and_whether_it_is_met(asked: Asked, said: str) -> None:
    record = result().record({"model": "tiny", "limits": [asdict(asked)]})
    page, card, notebook = Page(render(record, "out")), write_card(record, "out"), Page(show_result(record))
    verdict = said.split(": ")[1]

    assert page.text.count(f"tiny at {said}") == 2  # the title and the heading
    tile = page.text.index("met" if asked.is_met else "missed", page.text.index("lost channels"))
    assert tile < page.text.index("top-1 accuracy", page.text.index("lost channels"))
    assert f"tiny at {said}" in notebook.text
    for text in (page.text, notebook.text):
        assert f"limit {said.split(':')[0]}" in text
        assert verdict in text[text.index("limit ") :].split("parameters 1")[0].replace("\n", "")
    (title,) = (line for line in card.splitlines() if line.startswith("# "))
    assert " ".join(title.split()) == f"# tiny at {said}"
    assert card[card.index("| --- |") :].splitlines()[1].startswith("| limit ")
    assert Record.model_validate_json(write_record(record)) == record


def test_limits_joined_by_commas_are_judged_one_by_one() -> None:
    asked = (KINDS[0][0], KINDS[4][0])

    assert (
        headline("tiny", "", asked).replace("\u00a0", " ")
        == "tiny at MACs ≤ 60%: met by 0.4 points, bytes ≤ 2,000,000: missed by 500 kB"
    )


def test_results_of_older_versions_are_headed_by_the_limit_alone() -> None:
    assert headline("tiny", "params<=2M,macs<=50%", ()).replace("\u00a0", " ") == "tiny at parameters ≤ 2M, MACs ≤ 50%"


def test_a_result_knows_what_its_limits_come_to() -> None:
    found = result()
    (asked,) = found.limits

    assert asked == Asked(
        "macs<=50%", found.cost["dense"].macs / 2, found.cost["dense"].macs, found.cost["pruned"].macs
    )
    assert repr(found).startswith(headline(found.network.model_class, "", found.limits))
    several = found.settings | {"constraint": "params<=10k, activations<=90%,bytes<=1MB,latency<=50%"}
    check = LatencyCheck(limit_ms=1.0, dense_ms=2.0, pruned_ms=1.1, predicted_ms=1.0)
    limits = type(found)(
        **{name: getattr(found, name) for name in found.__slots__} | {"settings": several, "latency": check}
    ).limits
    assert [one.limit for one in limits] == ["params<=10,000", "activations<=90%", "bytes<=1,000,000", "latency<=50%"]
    assert [one.pruned for one in limits[:3]] == [
        getattr(found.cost["pruned"], n) for n in ("params", "activations", "bytes")
    ]
    assert limits[3].verdict == "missed by 5.0 points"


def test_a_terminal_shows_the_limit_in_the_first_row(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {name: {"dense": 1000, "pruned": 596} for name in ("macs", "params", "file_bytes")}
    score = {"dense": 0.99, "pruned": 0.1, "repaired": 0.98}
    known = {"limits": [asdict(KINDS[0][0])], "score": score, "test_images": 500, "metric": "top1"}
    table = changes(result().record({**known, **sizes}), ascii_only=True)
    change = next(cell for cell in list(table.columns[-1].cells) if "points" in str(cell) and "met" not in str(cell))
    Console(width=80).print(table)
    rows = [line for line in capsys.readouterr().out.splitlines() if "%" in line]

    assert "limit MACs <= 60%" in rows[0]
    assert "met by 0.4 points" in rows[0]
    assert getattr(change, "style", None) == "red"
