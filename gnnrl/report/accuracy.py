"""What the report says of accuracy: by stage, by class, and how much of it is the chance of few test images."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from markupsafe import Markup

from gnnrl.report.elements import element, picture
from gnnrl.report.names import STAGES, minus, plural, sampling_error, score, score_change
from gnnrl.report.record import Record

_MOST_CLASSES = 10


def score_rows(record: Record) -> Iterator[dict[str, Any]]:
    """The score after each stage, and how it changed, as text."""
    dense = record.score["dense"]
    titles = {**STAGES, "pruned": "pruned, nothing repaired"}
    for name in record.stages:
        value = record.score[name]
        yield {
            "name": titles[name],
            "value": score(value, record.metric),
            "change": score_change(dense, value, record.metric) if name != "dense" else "",
            "mood": _mood(value - dense) if name == record.saved else "",
            "last": name == record.saved,
        }


def noise(record: Record) -> str:
    """How well an accuracy on so few images is known; nothing where the score is none."""
    images = record.test_images
    if record.metric != "top1" or not images:
        return ""
    change, error = record.final - record.score["dense"], sampling_error(min(max(record.final, 0.0), 1.0), images)
    told = (
        f"Of {plural(images, 'test image')} one is {100 / images:.2g} points, and the accuracy of all such images may "
        f"lie {100 * error:.2g} points off (95% interval)"
    )
    if 0 < abs(change) < error:
        told += f": a change of {score_change(record.score['dense'], record.final, record.metric)} is within that"
    return f"{told}."


def _mood(change: float) -> str:
    return "good" if change > 0 else "bad" if change < 0 else ""


def class_rows(record: Record) -> dict[str, Any]:
    """The classes whose accuracy changed most, as text and bars."""
    found = record.classes
    if found is None or not found.names:
        return {"classes": [], "classes_text": ""}
    rows = sorted(
        zip(found.names, found.images, found.dense, found.final, strict=True), key=lambda row: (row[3] - row[2], row[0])
    )
    down, up = (sum(sign * (row[3] - row[2]) > 0 for row in rows) for sign in (-1, 1))
    text = f"On the test images, {plural(down, 'class', 'es')} lost and {up} gained"
    shown = rows
    if len(rows) > 2 * _MOST_CLASSES + 4:
        shown = [*rows[:_MOST_CLASSES], *rows[-_MOST_CLASSES:]]
        text += f"; the {_MOST_CLASSES} that lost and the {_MOST_CLASSES} that gained most are shown, of {len(rows)}"
    text += f". One image of a class is {100 / median(row[1] or 1 for row in rows):.2g} points or so"
    widest = max(max(abs(row[3] - row[2]) for row in shown), 0.02)
    return {
        "classes_text": f"{text}.",
        "classes": [
            {
                "name": name,
                "images": images,
                "dense": f"{before:.1%}",
                "final": f"{after:.1%}",
                "change": minus(f"{100 * (after - before):+.1f}") if after != before else "0",
                "mood": _mood(after - before),
                "bar": _change_bar((after - before) / widest),
            }
            for name, images, before, after in shown
        ],
    }


def _change_bar(change: float) -> Markup:
    """A bar to the left for a loss, to the right for a gain; `change` in [-1, 1]."""
    length = 50 * abs(change)
    axis = element("line", x1=50, x2=50, y1=0, y2=10, class_="axis")
    kind = "gain" if change > 0 else "loss"
    bar = element("rect", x=50.0 if change > 0 else 50 - length, y=1, width=length, height=8, class_=kind)
    return picture(
        100, 10, bar, axis, label=f"{'gain' if change > 0 else 'loss'} {abs(change):.0%} of the largest", stretch=True
    )
