"""Accuracy in the report: by stage, by class, and which changes the number of test images can show."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from gnnrl.report.names import STAGES, minus, mood, plural, sampling_error, score, score_change
from gnnrl.report.record import Record

_MOST_CLASSES = 10


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The score after one stage, as text; the mood is that of the saved network's change."""

    name: str
    value: str
    change: str
    mood: str
    is_saved: bool


@dataclass(frozen=True, slots=True)
class ClassRow:
    """Accuracy of one class before and after, as text; `share` is the change as a share of the largest."""

    name: str
    images: int
    dense: str
    final: str
    change: str
    mood: str
    share: float


@dataclass(frozen=True, slots=True)
class ClassTable:
    """The classes whose accuracy changed most, with a summary of all classes."""

    rows: tuple[ClassRow, ...] = ()
    text: str = ""


def score_rows(record: Record) -> Iterator[ScoreRow]:
    """Yield the score after each stage, and its change."""
    dense, images = record.score["dense"], record.judged_images
    for name in record.stages:
        value = record.score[name]
        yield ScoreRow(
            "pruned, not repaired" if name == "pruned" else STAGES[name],
            score(value, record.metric),
            score_change(dense, value, record.metric) if name != "dense" else "",
            mood(dense, value, images) if name == record.saved != "dense" else "",
            name == record.saved,
        )


def noise(record: Record) -> str:
    """Say which changes of the accuracy are within its 95 % interval; empty if no images were judged."""
    dense, images = record.score["dense"], record.judged_images
    if not images:
        return ""
    text = (
        f"One of {plural(images, 'test image')} is {100 / images:.2g} points; changes below "
        f"{100 * sampling_error(dense, images):.2g} points are within the 95% interval."
    )
    if record.final == dense or mood(dense, record.final, images) != "even":
        return text
    return f"{text} The change of {score_change(dense, record.final, record.metric)} is within it."


def class_table(record: Record) -> ClassTable:
    """Collect the classes, from the largest loss to the largest gain; of many classes those that changed most."""
    found = record.classes
    if found is None or not found.names:
        return ClassTable()
    classes = sorted(
        zip(found.names, found.images, found.dense, found.final, strict=True), key=lambda row: (row[3] - row[2], row[0])
    )
    lost, gained = (sum(sign * (row[3] - row[2]) > 0 for row in classes) for sign in (-1, 1))
    text = f"On the test images, {plural(lost, 'class', 'es')} lost and {gained} gained"
    shown = classes
    if len(classes) > 2 * _MOST_CLASSES + 4:
        shown = [*classes[:_MOST_CLASSES], *classes[-_MOST_CLASSES:]]
        text += f"; of {len(classes)}, the {_MOST_CLASSES} at each end are shown"
    text += (
        f". One image is about {100 / median(row[1] or 1 for row in classes):.2g} points of its class; changes within "
        "the 95% interval of a class are grey."
    )
    widest = max(max(abs(row[3] - row[2]) for row in shown), 0.02)
    return ClassTable(tuple(_class_row(*row, widest) for row in shown), text)


def _class_row(name: str, images: int, before: float, after: float, widest: float) -> ClassRow:
    change = minus(f"{100 * (after - before):+.1f}") if after != before else "0"
    kind, share = mood(before, after, images), (after - before) / widest
    return ClassRow(name, images, f"{before:.1%}", f"{after:.1%}", change, kind, share)
