"""A compression as two tables: the network with its limits, and its layers."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gnnrl.report.accuracy import noise
from gnnrl.report.limits import headline
from gnnrl.report.names import STAGES, extremes, is_worse, mood, score, score_change, unrepaired
from gnnrl.report.page import size_rows
from gnnrl.report.record import Record, Width

_COLOURS = {"even": "dim", "good": "green", "bad": "red"}
"""Colours of changes of the accuracy."""
_BAR = 24
_MOST_LAYERS = 40


def show_result(
    console: Console, record: Record, place: str, seconds: float, latency: Mapping[str, float | str] | None = None
) -> None:
    """Print the limits and whether they are met, the tables, where the result is saved, and what to try next.

    Args:
        place: directory of the result.
        seconds: time of the command.
        latency: facts of the measured latency, if it is limited.
    """
    ascii_only = console.options.ascii_only
    console.print(
        _fit(headline(record.model, record.constraint, record.limits), ascii_only), style="bold", markup=False
    )
    console.print(changes(record, ascii_only=ascii_only))
    console.print(layers(record.widths, ascii_only=ascii_only))
    for text, style in _remarks(record, latency):
        console.print(_fit(text, ascii_only), style=style, markup=False)
    console.print(Text.assemble("Saved in ", (place, "bold"), f", after {seconds:.0f} s. Next:"))
    loading = f'gnnrl.load(fresh_model, "{place}")'
    hints = [("", shlex.join(command)) for command in record.commands]
    for where, what in (*hints, ("in a browser: ", f"{place}/report.html"), ("in Python: ", loading)):
        console.print(Text.assemble(f"  {where}", (what, "cyan")), soft_wrap=True)


def _remarks(record: Record, latency: Mapping[str, float | str] | None) -> Iterator[tuple[str, str]]:
    """Yield (text, style) of what the tables do not say."""
    yield noise(record), "dim"
    levels, images = record.score, record.judged_images
    is_ruined = "finetuned" in levels and record.saved == "repaired"
    if is_ruined or ("finetuned" in levels and is_worse(levels["repaired"], record.final, images)):
        kept = ", so the repaired network was saved" if is_ruined else ""
        lost = 100 * (levels["repaired"] - levels["finetuned"])
        advice = "use a smaller --learning-rate, or --finetune-epochs 0"
        yield f"Fine-tuning lost {lost:.1f} points{kept}: {advice}.", "yellow"
    if latency is not None:
        off = f"the prediction was off by {float(latency['error']):+.1%}"
        yield f"Latency was measured in {latency['where']}; {off}.", "dim"
    difference = record.verified_difference
    checked = f"; removing equals zeroing to {difference:.0e}" if difference is not None else ""
    yield f"Verified: counted MACs and parameters are the predicted ones{checked}.", "dim"
    most, least = extremes({width.name: width.sensitivity for width in record.widths})
    if most:
        yield f"The outputs depend most on {', '.join(most)}; least on {', '.join(least)}.", "dim"
    if untouched := unrepaired(record.unrepaired, record.unsolved):
        yield untouched, "dim"
    if record.doubt:
        yield f"These numbers say little: {record.doubt}", "yellow"


def new_table(first: str, *numbers: str, **settings: Any) -> Table:
    """Return an empty table: a column of names, and columns of numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), **settings)
    table.add_column(first, overflow="fold")
    for title in numbers:
        table.add_column(title, justify="right")
    return table


def changes(record: Record, *, ascii_only: bool = False) -> Table:
    """Tabulate the limits, accuracy at each stage, and the sizes before and after."""
    images, stages = record.judged_images, record.stages
    table = new_table("", pad_edge=False)
    for name in stages:
        table.add_column(STAGES[name], justify="right", style="bold" if name == record.saved else "", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    rows: list[tuple[str, list[str], Text]] = []
    for number, row in enumerate(size_rows(record)):
        colour = "" if number >= len(record.limits) else _COLOURS[row.mood or "good"]
        left = Text(_fit(row.left, ascii_only), colour)
        rows.append((row.name, [row.before, *[""] * (len(stages) - 2), row.after], left))
    dense, final, metric = record.score["dense"], record.final, record.metric
    change = Text(_fit(score_change(dense, final, metric), ascii_only), _COLOURS[mood(dense, final, images)])
    scores = [score(record.score[name], metric) for name in stages]
    rows.insert(len(record.limits), (f"top-1, {images:,} images" if images else "score", scores, change))
    for name, cells, left in rows:
        table.add_row(_fit(name, ascii_only), *cells, left)
    return table


def _fit(text: str, ascii_only: bool) -> str:
    """Write a text without other characters, if the terminal knows ASCII alone."""
    return text.replace("\u00a0≤\u00a0", " <= ").replace("×", "x").replace("−", "-") if ascii_only else text


def layers(widths: Sequence[Width], *, ascii_only: bool = False) -> Table:
    """Tabulate the widths of the layers; in a large network only of those that lose most."""
    kept = sorted(widths, key=lambda width: width.pruned / width.dense)[:_MOST_LAYERS]
    table = new_table("channels of", "before")
    table.add_column("after", justify="right", style="bold")
    table.add_column("kept", no_wrap=True)
    full, empty = "#." if ascii_only else "█░"
    for width in (width for width in widths if width in kept):
        share = width.pruned / width.dense
        blocks = max(round(share * _BAR), 1)
        bar = Text.assemble((full * blocks, "cyan"), (empty * (_BAR - blocks), "dim"), f" {share:4.0%}")
        table.add_row(width.name, str(width.dense), str(width.pruned), bar)
    if len(widths) > len(kept):
        table.add_row(f"and {len(widths) - len(kept)} layers that lose less", "", "", "see plan.json")
    return table
