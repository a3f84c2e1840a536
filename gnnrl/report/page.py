"""report.html: a record as one page, without a script or a request to the network.

Everything that comes from a record is escaped by jinja2; the policy in the page's head forbids every request.
"""

import platform
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from gnnrl.network.obstacles import shorten
from gnnrl.report.accuracy import class_table, noise, score_rows
from gnnrl.report.charts import draw_plans, draw_search
from gnnrl.report.drawing import draw_network, is_linear
from gnnrl.report.elements import fill
from gnnrl.report.limits import headline
from gnnrl.report.names import count, duration, factor, is_worse, metric_name, plural, reward_name, score, unrepaired
from gnnrl.report.record import Change, Record
from gnnrl.version import __version__

_MOST_ROWS = 32
_LARGE_LOSS = 0.1
"""Loss of one class, as a share of its images, that is never called little."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure, and what it was before."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class SizeRow:
    """A size or a speed before and after, as text.

    Attributes:
        left: what is left of it, or for a limit whether it is met.
        width: of the bar, in percent; empty for no bar.
    """

    name: str
    before: str
    after: str
    left: str
    mood: str = ""
    width: str = ""


def render(record: Record, place: str) -> str:
    """Write the page; `place` is the directory of the result, as the user's own code will name it."""
    trials, layers = record.trials, [layer for run in record.runs for layer in run.layers]
    images = f", {plural(record.test_images, 'test image')}" if record.test_images else ""
    return fill(
        "page.html",
        record=record,
        title=headline(record.model, record.constraint, record.limits),
        lead=summary(record),
        tiles=list(tiles(record)),
        scores=list(score_rows(record)),
        score_title=metric_name(record.metric) + images,
        noise=noise(record),
        sizes=list(size_rows(record)),
        network=draw_network(record.runs),
        linear=is_linear(record.runs),
        some_stay=any(layer.stays for layer in layers),
        ends=[layer for layer in layers if layer.output],
        shorten=shorten,
        stream=any(width.kind == "stream" for width in record.widths),
        most_rows=_MOST_ROWS,
        factor=factor,
        largest_felt=max((abs(width.sensitivity or 0.0) for width in record.widths), default=0.0),
        search=_search(record),
        chart=draw_search(trials, record.reward),
        plans=draw_plans(trials, [width.dense for width in record.widths]),
        classes=class_table(record),
        loading=f"import gnnrl\n\nsmall = gnnrl.load(fresh_model, {place!r}).eval()",
        commands=[shlex.join(command) for command in record.commands],
        advice=_advice(record),
        made=_made(record),
    )


def summary(record: Record) -> str:
    """The result in two sentences, after a warning if fine-tuning ruined the network."""
    groups = sum(width.pruned < width.dense for width in record.widths)
    sizes = (
        f"{record.macs.ratio:.1%} of the multiply-accumulates and {record.params.ratio:.1%} of the parameters are left"
    )
    told = (
        f"{score(record.final, record.metric)} {metric_name(record.metric)} instead of "
        f"{score(record.score['dense'], record.metric)}"
    )
    changed = f"{plural(groups, 'group')} of {len(record.widths)} lost channels."
    return " ".join(
        filter(
            None, [f"{_alert(record)}{sizes}, with {told}.", changed, unrepaired(record.unrepaired, record.unsolved)]
        )
    )


def _alert(record: Record) -> str:
    """Warnings: the scores say little, or the fine-tuned network is not the saved one."""
    if record.doubt:
        return f"These numbers say little: {record.doubt} "
    if "finetuned" not in record.score or record.saved == "finetuned":
        return ""
    force = "" if record.commands else '; keep="finetuned" keeps the trained network all the same'
    return (
        "Fine-tuning made the network worse on the data of the reward, so the repaired network was kept (see the "
        f"scores). {_gentler(record)}{force}. "
    )


def _gentler(record: Record) -> str:
    """Advise to train with more care, in words of the API that made the result."""
    if record.commands:
        return "Train with a smaller --learning-rate, or not at all (--finetune-epochs 0)"
    return "Train with a smaller learning rate in your `finetune`, or not at all"


def tiles(record: Record) -> Iterator[Tile]:
    """Yield the key figures: first the limits that were asked for."""
    for asked in record.limits:
        yield Tile(asked.text, "met" if asked.is_met else "missed", f"{asked.share}, {asked.verdict.partition(' ')[2]}")
    before = f"{score(record.score['dense'], record.metric)} dense"
    yield Tile(metric_name(record.metric), score(record.final, record.metric), before)
    for name, change in (("MACs", record.macs), ("parameters", record.params), ("file", record.file_bytes)):
        unit = "B" if name == "file" else ""
        yield Tile(name, f"{change.ratio:.1%}", f"{count(change.pruned)}{unit} of {count(change.dense)}{unit}")
    if latency := record.latency_ms:
        yield Tile("latency", f"{latency.ratio:.1%}", f"{latency.pruned:.2f} ms of {latency.dense:.2f} ms")


def size_rows(record: Record) -> Iterator[SizeRow]:
    """Yield the limits, then sizes and speed."""
    for asked in record.limits:
        yield SizeRow(f"limit {asked.text}", *asked.costs, asked.verdict, "" if asked.is_met else "bad")
    threads = f", {plural(record.threads, 'thread')}" if record.threads else ""
    milliseconds = ".2f" if record.latency_ms and record.latency_ms.dense < 100 else ",.0f"
    costs: tuple[tuple[str, Change | None, str], ...] = (
        ("MACs", record.macs, ",.0f"),
        ("parameters", record.params, ",.0f"),
        ("file, bytes", record.file_bytes, ",.0f"),
        (f"ms/input{threads}", record.latency_ms, milliseconds),
    )
    for name, change, form in costs:
        if change is not None:
            before, after = format(change.dense, form), format(change.pruned, form)
            yield SizeRow(name, before, after, f"{change.ratio:.1%}", width=f"{100 * min(change.ratio, 1):.1f}")
    if rate := record.images_per_second:
        yield SizeRow("inputs/s, by 64", f"{rate.dense:,.0f}", f"{rate.pruned:,.0f}", f"×{rate.ratio:.2f}")


def _search(record: Record) -> str:
    """Describe the search in three sentences; empty if no plans were judged."""
    trials = record.trials
    if not trials:
        return ""
    best = max(trials, key=lambda trial: trial.score)
    shown = "top1" if record.reward == "top1" else "score"
    each = duration(median(trial.seconds for trial in trials))
    return (
        f"{record.searcher} judged {plural(len(trials), 'plan')}, {each} each. The first scored "
        f"{score(trials[0].score, shown)}, the best {score(best.score, shown)} (plan {trials.index(best) + 1}). "
        f"The score is {reward_name(record.reward)}."
    )


def _advice(record: Record) -> str:
    if record.doubt:
        return "There is no advice: the scores are those of a network that guesses."
    dense, images, missed = record.score["dense"], record.judged_images, [a.text for a in record.limits if not a.is_met]
    lost, repaired, tuned = dense - record.final, record.score.get("repaired", 0.0), record.score.get("finetuned")
    if missed:
        return f"The limit was missed ({', '.join(missed)}): ask for less than you need, or search longer."
    if images and tuned is not None and is_worse(repaired, tuned, images):
        return f"Fine-tuning made it worse than it was after the repair. {_gentler(record)}."
    if images and (lost > 0.02 or is_worse(dense, record.final, images)):
        longer, guided = (" (--finetune-epochs)", " (--distill 0.9)") if record.commands else ("", "")
        return (
            f"It lost {100 * lost:.1f} points: fine-tune for more epochs{longer}, towards the dense network's "
            f"outputs{guided}, or raise the limit."
        )
    if "finetuned" not in record.score:
        return "It was not fine-tuned: train it for a few epochs at a tenth of the usual learning rate."
    loss, name = record.classes.worst if record.classes else (0.0, "")
    if loss >= _LARGE_LOSS:
        return f"Class {name} lost {100 * loss:.1f} points: check it before you ask for a lower limit."
    return "Little was lost: a lower limit may hold as well."


def _made(record: Record) -> str:
    told = ", ".join(f"{name} {value}" for name, value in record.versions.items())
    seed = record.settings.get("seed")
    stages = ", ".join(f"{name} {duration(value)}" for name, value in record.stage_seconds.items())
    parts = [f"Made by gnnrl {__version__} with {told or f'Python {platform.python_version()}'}"]
    parts += [f"seed {seed}"] if seed is not None else []
    parts += [f"time: {stages}"] if stages else []
    return "; ".join(parts) + "."
