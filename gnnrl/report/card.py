"""Files for people in a saved result: the report, its record, and the model card as Hugging Face's hub reads it."""

import re
from pathlib import PurePath

from gnnrl.report.elements import templates
from gnnrl.report.limits import headline
from gnnrl.report.names import STAGES, metric_name, plural, score
from gnnrl.report.page import SizeRow, render, size_rows, summary
from gnnrl.report.record import Record, write_record
from gnnrl.storage.layout import CARD, HISTORY, REPORT


def write_card(record: Record, place: str) -> str:
    """Write facts, how to load it, and how it was made; what users named stands as text, not as markup."""
    title = metric_name(record.metric) + (f", {record.test_images:,} images" if record.test_images else "")
    before, after = (score(value, record.metric) for value in (record.score["dense"], record.final))
    rows = list(size_rows(record))
    rows.insert(len(record.limits), SizeRow(title, before, after, ""))
    stages = ", ".join(f"{STAGES[name]} {score(record.score[name], record.metric)}" for name in record.stages)
    return (
        templates()
        .get_template("card.md")
        .render(
            record=record,
            name=f"{record.model}, {record.constraint}",
            title=_plain(headline(record.model, record.constraint, record.limits)),
            summary=_plain(summary(record)),
            rows=[[_plain(cell) for cell in (row.name, row.before, row.after, row.left)] for row in rows],
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


def write_documents(record: Record, place: str) -> dict[str, str]:
    """Return the texts for people that are saved with a network, by file name; `place` is the directory."""
    return {HISTORY: write_record(record), REPORT: render(record, place), CARD: write_card(record, place)}
