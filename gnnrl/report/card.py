"""The model card: README.md of a saved result, as Hugging Face's hub reads it."""

import re
from pathlib import PurePath

from gnnrl.report.names import STAGES, metric_name, plural, score
from gnnrl.report.page import size_rows, summary, templates
from gnnrl.report.record import Record


def write_card(record: Record, place: str) -> str:
    """Write facts, how to load it, and how it was made; what users named stands as text, not as markup."""
    before, after = record.score["dense"], record.final
    title = f"{metric_name(record.metric)}" + (f", {record.test_images:,} images" if record.test_images else "")
    accuracy = {
        "name": title,
        "before": score(before, record.metric),
        "after": score(after, record.metric),
        "left": "",
    }
    stages = ", ".join(f"{STAGES[name]} {score(record.score[name], record.metric)}" for name in record.stages)
    return (
        templates()
        .get_template("card.md")
        .render(
            record=record,
            name=f"{record.model}, {record.constraint}",
            title=_plain(f"{record.model}, pruned to {record.constraint}"),
            summary=_plain(summary(record)),
            rows=[{key: _plain(value) for key, value in row.items()} for row in (accuracy, *size_rows(record))],
            place=PurePath(place).name or place,  # a card travels
            class_name=_plain(record.network_class or record.model),
            constraint=record.constraint.replace("`", ""),
            searcher=record.searcher.replace("`", ""),
            plans=plural(len(record.trials), "plan"),
            seed=record.settings.get("seed"),
            scores=_plain(f"Scores on the way: {stages}."),
            classes=record.classes,
        )
    )


def _plain(text: str) -> str:
    """Text on one line that Markdown takes for nothing but text."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(text.split()))
