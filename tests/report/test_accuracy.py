"""Accuracy in the report: what few images can tell, and which classes lost and gained."""

import pytest

from gnnrl.report.accuracy import class_table, noise, score_rows
from gnnrl.report.limits import Asked
from gnnrl.report.page import render
from gnnrl.report.record import Classes
from tests.report.results import Page, result


@pytest.mark.parametrize(
    ("images", "final", "said"),
    [
        (500, 0.985, "One of 500 test images is 0.2 points; changes below 0.95 points are within the 95% interval."),
        (500, 0.985, "The change of −0.5 points is within it."),
        (50_000, 0.5, "changes below 0.087 points are within the 95% interval. "),
    ],
)
def test_a_page_says_what_few_test_images_can_tell(images: int, final: float, said: str) -> None:
    record = result().record().model_copy(update={"test_images": images, "score": {"dense": 0.99, "repaired": final}})

    assert said in Page(render(record, "out")).text


def test_the_last_stage_alone_is_good_or_bad() -> None:
    score = {"dense": 0.9, "pruned": 0.2, "repaired": 0.85, "finetuned": 0.91}
    many = {"score": score, "kept": "finetuned", "metric": "top1", "test_images": 50_000}
    rows = list(score_rows(result().record().model_copy(update=many)))

    assert [row.value for row in rows] == ["90.0%", "20.0%", "85.0%", "91.0%"]
    assert [row.change for row in rows] == ["", "−70.0 points", "−5.0 points", "+1.0 points"]
    assert [row.mood for row in rows] == ["", "", "", "good"]


@pytest.mark.parametrize("change", [{"metric": "score"}, {"test_images": None}])
def test_nothing_is_told_of_chance_where_the_score_is_none_of_images(change: dict[str, object]) -> None:
    record = result().record().model_copy(update={"metric": "top1", "test_images": 500})

    assert noise(record)
    assert noise(record.model_copy(update=change)) == ""


def test_classes_stand_from_the_one_that_lost_most_to_the_one_that_gained_most() -> None:
    classes = Classes(
        names=("a", "b", "c", "d"), images=(10, 20, 10, 1000), dense=(0.5, 0.9, 0.5, 0.5), final=(0.4, 0.7, 0.5, 0.6)
    )
    found = class_table(result().record().model_copy(update={"classes": classes}))

    assert [(row.name, row.change, row.mood) for row in found.rows] == [
        ("b", "−20.0", "bad"),
        ("a", "−10.0", "even"),
        ("c", "0", "even"),
        ("d", "+10.0", "good"),
    ]
    assert "2 classes lost and 1 gained" in found.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"final": (0.9, 0.88)}, "Little was lost"),
        ({"final": (0.9, 0.79)}, "Class b lost 11.0 points: check it"),
        ({"score": {"dense": 0.9, "finetuned": 0.885}}, "It lost 1.5 points: fine-tune for more epochs"),
        ({"limits": (Asked("latency<=5ms", 5.0, 9.0, 5.2),)}, "The limit was missed (latency ≤ 5ms)"),
    ],
)
def test_little_was_lost_only_where_no_class_lost_much(change: dict[str, object], said: str) -> None:
    final = change.pop("final", (0.9, 0.9))
    classes = Classes.model_validate({"names": ("a", "b"), "images": (100, 100), "dense": (0.9, 0.9), "final": final})
    score = {"dense": 0.9, "finetuned": 0.899}
    known = {"kept": "", "metric": "top1", "test_images": 10_000, "score": score, "classes": classes}
    text = Page(render(result().record().model_copy(update={**known, **change}), "out")).text

    assert said in text
    assert ("Little was lost" in text) == said.startswith("Little")


def test_of_many_classes_those_that_changed_most_are_shown() -> None:
    final = tuple(0.5 + (number - 15) / 100 for number in range(30))
    names = tuple(f"{number}" for number in range(30))
    classes = Classes(names=names, images=(10,) * 30, dense=(0.5,) * 30, final=final)
    found = class_table(result().record().model_copy(update={"classes": classes}))

    assert [row.name for row in found.rows] == [*names[:10], *names[20:]]
    assert class_table(result().record().model_copy(update={"classes": None})).rows == ()
