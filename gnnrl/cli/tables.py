"""What a compression changed, as two tables: the network, and its layers."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gnnrl.report.names import is_worse, sampling_error

_SCORES = {"dense": "dense", "pruned": "pruned", "repaired": "repaired", "finetuned": "fine-tuned"}
_LARGE = 10**8
_BAR = 24
_MOST_LAYERS = 40


def show_result(console: Console, facts: Mapping[str, Any], commands: Sequence[Sequence[str]]) -> None:
    """Print the tables, where the result lies, and what to try next."""
    console.print(changes(facts))
    console.print(layers(facts["layers"], ascii_only=console.options.ascii_only))
    score = facts["score"]
    last = score[_saved(facts)]
    error = 100 * sampling_error(last, max(facts["test_images"], 1))
    images = f"{facts['test_images']:,} test images"
    console.print(f"Accuracy on {images} may be {error:.1f} points off (95% interval).", style="dim")
    is_ruined = "finetuned" in score and _saved(facts) == "repaired"
    if is_ruined or ("finetuned" in score and is_worse(score["repaired"], last, facts["test_images"])):
        told = ", so the repaired network was saved" if is_ruined else ""
        lost = 100 * (score["repaired"] - score["finetuned"])
        console.print(
            f"Fine-tuning lost {lost:.1f} points{told}: take a smaller --learning-rate, or --finetune-epochs 0.",
            style="yellow",
        )
    difference = facts["verified_difference"]
    checked = f"; removing equals zeroing to {difference:.0e}" if difference is not None else ""
    if limit := facts.get("latency_limit"):
        console.print(
            f"Latency: {limit['pruned_ms']:.2f} ms measured, {limit['used']:.1%} of the limit of "
            f"{limit['limit_ms']:.2f} ms; the model of the layers was off by {limit['error']:+.1%}."
        )
    console.print(f"Verified: counted MACs and parameters are the predicted ones{checked}.", style="dim")
    console.print(Text.assemble("Saved in ", (facts["out"], "bold"), f", after {facts['seconds']:.0f} s. Next:"))
    for command in commands:
        console.print(Text(f"  {shlex.join(command)}", style="cyan"), soft_wrap=True)
    console.print(Text.assemble("  in a browser: ", (f"{facts['out']}/report.html", "cyan")), soft_wrap=True)
    loading = f'gnnrl.load(fresh_model, "{facts["out"]}")'
    console.print(Text.assemble("  in Python: ", (loading, "cyan")), soft_wrap=True)


def changes(facts: Mapping[str, Any]) -> Table:
    """Tabulate accuracy at each stage, and the sizes before and after."""
    stages = [name for name in _SCORES if name in facts["score"]]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in stages:
        table.add_column(_SCORES[name], justify="right", style="bold" if name == _saved(facts) else "", no_wrap=True)
    table.add_column("", justify="right", style="green", no_wrap=True)
    score = facts["score"]
    change = f"{100 * (score[_saved(facts)] - score['dense']):+.1f} points"
    table.add_row(f"top-1, {facts['test_images']:,} images", *(f"{score[name]:.1%}" for name in stages), change)
    blank = [""] * (len(stages) - 2)
    for title, dense, small, difference in _sizes(facts):
        table.add_row(title, dense, *blank, small, difference)
    return table


def _saved(facts: Mapping[str, Any]) -> str:
    """Stage of the network that was saved."""
    return str(facts.get("kept") or [name for name in _SCORES if name in facts["score"]][-1])


def _sizes(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Write (what, dense, small, change) of everything that is no score."""
    for title, name in (("MACs", "macs"), ("parameters", "params"), ("file, bytes", "file_bytes")):
        dense, small = facts[name]["dense"], facts[name]["pruned"]
        unit, letter = (1e6, " M") if dense >= _LARGE else (1, "")
        yield title, f"{dense / unit:,.0f}{letter}", f"{small / unit:,.0f}{letter}", f"{small / dense:.1%}"
    latency, rate = facts["latency_ms"], facts["images_per_second"]
    threads = "1 thread" if facts["threads"] == 1 else f"{facts['threads']} threads"
    times = latency["dense"] / latency["pruned"]
    yield f"ms an image, {threads}", f"{latency['dense']:.2f}", f"{latency['pruned']:.2f}", f"x{times:.2f} speed"
    times = rate["pruned"] / rate["dense"]
    yield "images a second, by 64", f"{rate['dense']:,.0f}", f"{rate['pruned']:,.0f}", f"x{times:.2f} speed"


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
