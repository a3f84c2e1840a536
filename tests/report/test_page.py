"""The page and the card: what they say, that nothing foreign gets in, and that they can be made again."""

import json
import re

import pytest

from gnnrl.report.card import write_card
from gnnrl.report.page import render
from gnnrl.report.record import Judged, Record
from tests.report.results import Page, result

HOSTILE = "<script>alert('1')</script>\"><img src=x onerror=alert(1)> {{ 7*7 }} | `rm` ](javascript:x)"


def hostile(value: object) -> object:
    """The same document with every text replaced."""
    if isinstance(value, dict):
        return {key: hostile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return HOSTILE if isinstance(value, str) else value


def test_the_page_says_what_was_asked_and_got() -> None:
    found = result()
    record = found.record(
        {"model": "tiny", "latency_ms": {"dense": 2.0, "pruned": 1.0}, "commands": [["gnnrl", "x y"]]}
    )
    page = Page(render(record, "out"))

    for said in (
        "tiny at MACs ≤ 50%",
        f"{found.cost['dense'].macs:,}",
        f"{found.cost['pruned'].macs:,}",
        f"{found.score['dense']:.1%}",
        f"{found.score['repaired']:.1%}",
        "1.00 ms of 2.00 ms",
        "gnnrl 'x y'",
        "gnnrl.load(fresh_model, 'out').eval()",
        *(group.name for group in found.network.groups),
    ):
        assert said in page.text, said
    assert page.count("circle") == len(found.history)
    assert page.count("img", class_="heat") == 1
    layers = [layer for run in record.runs for layer in run.layers]
    assert page.count("rect", class_="whole") == len(layers)
    assert page.count("rect", class_="stays") == sum(layer.fixed > 0 for layer in layers) > 0


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    text = render(result().record(), "out")
    page = Page(text)
    policy = next(found["content"] for tag, found in page.elements if found.get("http-equiv"))

    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert not re.findall(r"(?:https?:)?//[a-z]", text)
    assert not re.findall(r"url\(|@import", text)
    assert not page.count("script") + page.count("link") + page.count("iframe")
    assert all(found["src"].startswith("data:image/png;base64,") for tag, found in page.elements if tag == "img")


def test_what_others_named_stays_text() -> None:
    record = result().record({"commands": [["a", "b"]], "data": "x"})
    tame = Page(render(record, "out"))
    wild_record = Record.model_validate(
        hostile(json.loads(record.model_dump_json(exclude={"score", "metric", "stage_seconds"})))
        | {"score": record.score, "metric": "top1", "stage_seconds": {HOSTILE: 1.0}}
    )
    wild = Page(render(wild_record, HOSTILE))

    assert "alert" in wild.text
    assert "49" not in wild.text.replace("7*7", "") or "{{ 7*7 }}" in wild.text
    for tag in ("script", "img", "svg", "style"):
        assert wild.count(tag) == tame.count(tag)
    assert not [name for _, found in wild.elements for name in found if name.startswith("on")]
    card = write_card(wild_record, HOSTILE)
    assert not re.search(r"(?<!\\)<(script|img)", card.split("```python")[0].split("---\n", 2)[2])


@pytest.mark.parametrize(("final", "is_said"), [(0.93, True), (0.949, False), (0.96, False)])
def test_a_page_says_where_fine_tuning_made_it_worse(final: float, is_said: bool) -> None:
    score = {"dense": 0.94, "repaired": 0.95, "finetuned": final}
    record = (
        result()
        .record()
        .model_copy(
            update={
                "test_images": 10_000,
                "score": score,
                "kept": "finetuned",
                "commands": (("gnnrl", "report", "out"),),
            }
        )
    )

    assert ("Train with a smaller --learning-rate" in Page(render(record, "out")).text) == is_said


def test_the_time_of_the_search_is_said_once() -> None:
    record = result().record()
    trials = tuple(trial.model_copy(update={"seconds": 3.0}) for trial in record.trials)
    told = record.model_copy(update={"trials": trials, "stage_seconds": {"search": 55.0}})
    text = Page(render(told, "out")).text

    assert "12 plans, 3.0 s each" in text
    assert "search 55 s" in text
    assert "36 s" not in text


def test_a_report_of_a_large_network_is_small() -> None:
    """Of 500 plans of 400 groups in 200 blocks."""
    record = result().record()
    widths = tuple(
        record.widths[0].model_copy(update={"name": f"group{n}", "dense": 64, "pruned": 30}) for n in range(400)
    )
    trials = tuple(Judged(score=n / 500, seconds=1, widths=(30,) * 400) for n in range(500))
    blocks = [run.blocks[0] for run in record.runs]
    runs = tuple(record.runs[0].model_copy(update={"blocks": (blocks[n % len(blocks)],) * 2}) for n in range(100))
    page = render(record.model_copy(update={"widths": widths, "trials": trials, "runs": runs}), "out")

    assert len(page.encode()) < 1_000_000


def test_sensitivity_stands_beside_the_plan_on_a_logarithmic_scale() -> None:
    record = result().record()
    widths = [width.model_copy(update={"sensitivity": None}) for width in record.widths]
    plain = Page(render(record.model_copy(update={"widths": tuple(widths)}), "out"))
    widths[:2] = [
        width.model_copy(update={"sensitivity": sign * 2.0}) for width, sign in zip(widths, (1, -1), strict=False)
    ]
    page = Page(render(record.model_copy(update={"widths": tuple(widths)}), "out"))

    bars = [attributes for tag, attributes in page.elements if tag == "rect" and attributes.get("class") == "felt"]
    assert [(bar["x"], bar["width"]) for bar in bars] == [("50.00", "50.00"), ("0.00", "50.00")]
    assert "×7.4" in page.text
    assert "×0.14" in page.text
    assert "at the output" not in plain.text


def test_layers_that_were_not_repaired_are_named() -> None:
    record = result().record({"unrepaired": ("stem.weight",)})

    assert "Not repaired: stem.weight; their" in Page(render(record, "out")).text
