"""A compression as two tables: the network with its limit, and its layers."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gnnrl.report.limits import Asked, headline
from gnnrl.report.names import STAGES, is_worse, mood, sampling_error

_COLOURS = {"even": "dim", "good": "green", "bad": "red"}
"""Colours of changes of the accuracy."""
_LARGE = 10**8
_BAR = 24
_MOST_LAYERS = 40


def show_result(console: Console, facts: Mapping[str, Any], commands: Sequence[Sequence[str]]) -> None:
    """Print the limit and whether it is met, the tables, where the result is saved, and what to try next."""
    asked = [Asked(*(one[name] for name in ("limit", "allowed", "dense", "pruned"))) for one in facts["limits"]]
    title = headline(facts["model"], facts["constraint"], asked)
    console.print(Text(_ascii(title) if console.options.ascii_only else title, style="bold"))
    console.print(changes(facts, asked, ascii_only=console.options.ascii_only))
    console.print(layers(facts["layers"], ascii_only=console.options.ascii_only))
    score, images, saved = facts["score"], facts["test_images"], _saved(facts)
    error = 100 * sampling_error(score["dense"], max(images, 1))
    console.print(
        f"On {images:,} test images, changes below {error:.1f} points are within the 95% interval.", style="dim"
    )
    is_ruined = "finetuned" in score and saved == "repaired"
    if is_ruined or ("finetuned" in score and is_worse(score["repaired"], score[saved], images)):
        kept = ", so the repaired network was saved" if is_ruined else ""
        lost = 100 * (score["repaired"] - score["finetuned"])
        console.print(
            f"Fine-tuning lost {lost:.1f} points{kept}: use a smaller --learning-rate, or --finetune-epochs 0.",
            style="yellow",
        )
    difference = facts["verified_difference"]
    checked = f"; removing equals zeroing to {difference:.0e}" if difference is not None else ""
    if limit := facts.get("latency_limit"):
        console.print(f"Latency was measured; the prediction was off by {limit['error']:+.1%}.", style="dim")
    console.print(f"Verified: counted MACs and parameters are the predicted ones{checked}.", style="dim")
    if facts.get("doubt"):
        console.print(Text(f"These numbers say little: {facts['doubt']}", "yellow"))
    console.print(Text.assemble("Saved in ", (facts["out"], "bold"), f", after {facts['seconds']:.0f} s. Next:"))
    for command in commands:
        console.print(Text(f"  {shlex.join(command)}", style="cyan"), soft_wrap=True)
    console.print(Text.assemble("  in a browser: ", (f"{facts['out']}/report.html", "cyan")), soft_wrap=True)
    loading = f'gnnrl.load(fresh_model, "{facts["out"]}")'
    console.print(Text.assemble("  in Python: ", (loading, "cyan")), soft_wrap=True)


def changes(facts: Mapping[str, Any], asked: Iterable[Asked], *, ascii_only: bool = False) -> Table:
    """Tabulate the limits, accuracy at each stage, and the sizes before and after."""
    score, images = facts["score"], facts["test_images"]
    stages = [name for name in STAGES if name in score]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", overflow="fold")
    for name in stages:
        table.add_column(STAGES[name], justify="right", style="bold" if name == _saved(facts) else "", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    blank = [""] * (len(stages) - 2)
    for one in asked:
        text = _ascii(one.text) if ascii_only else one.text
        before, after = one.costs
        table.add_row(f"limit {text}", before, *blank, after, Text(one.verdict, "green" if one.is_met else "red"))
    last = score[_saved(facts)]
    change = Text(f"{100 * (last - score['dense']):+.1f} points", _COLOURS[mood(score["dense"], last, images)])
    table.add_row(f"top-1, {images:,} images", *(f"{score[name]:.1%}" for name in stages), change)
    for title, dense, small, difference in _sizes(facts):
        table.add_row(title, dense, *blank, small, difference)
    return table


def _saved(facts: Mapping[str, Any]) -> str:
    """Return the stage of the network that was saved."""
    return str(facts.get("kept") or [name for name in STAGES if name in facts["score"]][-1])


def _ascii(limit: str) -> str:
    return limit.replace("\u00a0≤\u00a0", " <= ")


def _sizes(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield (name, dense, small, change) of everything that is not a score."""
    for title, name in (("MACs", "macs"), ("parameters", "params"), ("file, bytes", "file_bytes")):
        dense, small = facts[name]["dense"], facts[name]["pruned"]
        unit, letter = (1e6, " M") if dense >= _LARGE else (1, "")
        yield title, f"{dense / unit:,.0f}{letter}", f"{small / unit:,.0f}{letter}", f"{small / dense:.1%}"
    latency, rate = facts["latency_ms"], facts["images_per_second"]
    threads = "1 thread" if facts["threads"] == 1 else f"{facts['threads']} threads"
    share = latency["pruned"] / latency["dense"]
    yield f"ms/image, {threads}", f"{latency['dense']:.2f}", f"{latency['pruned']:.2f}", f"{share:.1%}"
    times = rate["pruned"] / rate["dense"]
    yield "images/s, by 64", f"{rate['dense']:,.0f}", f"{rate['pruned']:,.0f}", f"x{times:.2f}"


def layers(rows: Sequence[Mapping[str, Any]], *, ascii_only: bool = False) -> Table:
    """Tabulate the widths of the layers; of very many the ones that lose most."""
    shown = list(rows)
    if len(rows) > _MOST_LAYERS:
        kept = sorted(rows, key=lambda row: row["pruned"] / row["dense"])[:_MOST_LAYERS]
        shown = [row for row in rows if row in kept]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("channels of", overflow="fold")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right", style="bold")
    table.add_column("kept", no_wrap=True)
    blocks = "#." if ascii_only else "█░"
    for row in shown:
        table.add_row(
            row["name"],
            str(row["dense"]),
            str(row["pruned"]),
            _bar(row["pruned"] / row["dense"], blocks),
        )
    if len(shown) < len(rows):
        table.add_row(f"and {len(rows) - len(shown)} layers that lose less", "", "", "see plan.json")
    return table


def _bar(share: float, blocks: str) -> Text:
    full = max(round(share * _BAR), 1)
    return Text.assemble((blocks[0] * full, "cyan"), (blocks[1] * (_BAR - full), "dim"), f" {share:4.0%}")
