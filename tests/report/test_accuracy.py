"""Accuracy in the report: what few images can tell, and which classes lost and gained."""

import pytest

from gnnrl.report.accuracy import class_rows, noise, score_rows
from gnnrl.report.page import render
from gnnrl.report.record import Classes
from tests.report.results import Page, result


@pytest.mark.parametrize(
    ("images", "final", "said"),
    [
        (500, 0.98, "0.2 points, and the accuracy of all such images may lie 1.3 points off"),
        (500, 0.98, "a change of −1.0 points is within that"),
        (500, 1.0, "may lie 0.38 points off (95% interval)."),
        (50_000, 0.5, "may lie 0.44 points off (95% interval)."),
    ],
)
def test_a_page_says_what_few_test_images_can_tell(images: int, final: float, said: str) -> None:
    record = result().record().model_copy(update={"test_images": images, "score": {"dense": 0.99, "repaired": final}})

    assert said in Page(render(record, "out")).text


def test_the_last_stage_alone_is_good_or_bad() -> None:
    score = {"dense": 0.9, "pruned": 0.2, "repaired": 0.85, "finetuned": 0.91}
    rows = list(
        score_rows(result().record().model_copy(update={"score": score, "kept": "finetuned", "metric": "top1"}))
    )

    assert [row["value"] for row in rows] == ["90.0%", "20.0%", "85.0%", "91.0%"]
    assert [row["change"] for row in rows] == ["", "−70.0 points", "−5.0 points", "+1.0 points"]
    assert [row["mood"] for row in rows] == ["", "", "", "good"]


@pytest.mark.parametrize("change", [{"metric": "score"}, {"test_images": None}])
def test_nothing_is_told_of_chance_where_the_score_is_none_of_images(change: dict[str, object]) -> None:
    record = result().record().model_copy(update={"metric": "top1", "test_images": 500})

    assert noise(record)
    assert noise(record.model_copy(update=change)) == ""


def test_classes_stand_from_the_one_that_lost_most_to_the_one_that_gained_most() -> None:
    classes = Classes(names=("a", "b", "c"), images=(10, 20, 10), dense=(0.5, 0.9, 0.5), final=(0.6, 0.7, 0.5))
    found = class_rows(result().record().model_copy(update={"classes": classes}))

    assert [(row["name"], row["change"], row["mood"]) for row in found["classes"]] == [
        ("b", "−20.0", "bad"),
        ("c", "0", ""),
        ("a", "+10.0", "good"),
    ]
    assert "1 class lost and 1 gained" in found["classes_text"]


def test_of_many_classes_those_that_changed_most_are_shown() -> None:
    final = tuple(0.5 + (number - 15) / 100 for number in range(30))
    names = tuple(f"{number}" for number in range(30))
    classes = Classes(names=names, images=(10,) * 30, dense=(0.5,) * 30, final=final)
    found = class_rows(result().record().model_copy(update={"classes": classes}))

    assert [row["name"] for row in found["classes"]] == [*names[:10], *names[20:]]
    assert class_rows(result().record().model_copy(update={"classes": None}))["classes"] == []
