"""`gnnrl prune --sweep`: several limits in one go, a saved network for each, a table, a JSON file and a figure."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from gnnrl.cli.console import Narrator, Stopwatch
from gnnrl.cli.engine import import_engine, limited_threads
from gnnrl.cli.job import (
    Best,
    Job,
    check_settings,
    check_written,
    prepare,
    refuse_unmet,
    searching,
    shared_arguments,
    tell_stage,
)
from gnnrl.cli.outcome import save_result
from gnnrl.cli.record import naming, written
from gnnrl.cli.running import running
from gnnrl.cli.sources import load_splits
from gnnrl.errors import ConfigError
from gnnrl.target import FIGURE, REPORT, SWEEP, check_sweep


def read_limits(text: str, constraint: str) -> list[str]:
    """Limits of a sweep: amounts such as `30%` are of the metric that `--constraint` limits.

    Raises:
        ConfigError: an amount, where several metrics are limited; no limit, or one twice.
    """
    metrics = [part.partition("<")[0].strip() for part in constraint.split(",")]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if any("<" not in part for part in parts) and len(metrics) > 1:
        raise ConfigError(f"--sweep {text!r}: {constraint} limits several metrics; write macs<=50% instead of 50%")
    limits = [part if "<" in part else f"{metrics[0]}<={part}" for part in parts]
    if not limits or len(set(limits)) < len(limits):
        raise ConfigError(f"--sweep {text!r} needs limits, each of them once, such as 30%,50%,70%")
    return limits


def run_sweep(job: Job, limits: list[str], narrator: Narrator) -> dict[str, Any]:
    """Compress to every limit, save each result as soon as it is there, and return all facts that `--json` prints.

    Raises:
        GnnrlError: see `gnnrl.errors`; results that were saved before stay.
    """
    watch = Stopwatch()
    for limit in limits:
        check_written(replace(job, constraint=limit))
    import_engine(narrator)
    with limited_threads(job.threads):
        from gnnrl.compression import compress
        from gnnrl.latency.ledger import Ledger
        from gnnrl.runs.timings import ledger_of
        from gnnrl.searchers.table import evaluations_of
        from gnnrl.tradeoff import name_limit, point, prepare_all

        names = [name_limit(limit) for limit in limits]
        jobs = {
            limit: replace(job, constraint=limit, out=job.out / name) for limit, name in zip(limits, names, strict=True)
        }
        check_sweep(job.out, [each.out for each in jobs.values()], force=job.force)
        for each in jobs.values():
            check_settings(each)
        times = Ledger()
        fed, network = prepare(replace(job, constraint=limits[0], out=job.out / names[0]), narrator, ledger=times)
        for each in jobs.values():
            refuse_unmet(each, network)
        data = load_splits(job.data, fed, narrator)
        shared = shared_arguments(job, fed.model, network, data)
        study = prepare_all(
            fed.model,
            fed.example_inputs,
            limits,
            ledger=times,
            on_stage=partial(tell_stage, narrator=narrator),
            on_calibration=narrator.advance,
            **shared,
        )
        best = Best(job.metric, evaluations_of(job.searcher, job.episodes), narrator)
        points: list[dict[str, Any]] = []
        for each in jobs.values():
            best.restart()
            narrator.begin(f"limit {each.constraint}")
            with running(each.out, written(each), narrator, force=job.force, arguments=naming(each)) as session:
                ledger_of(session.directory, times.measured)
                settings = {**searching(each, fed, data, narrator, best, session), **shared}
                result = compress(fed.model, fed.example_inputs, each.constraint, study=study, **settings)
                facts = save_result(each, fed, result, data, narrator, session)
            points.append({**point(result), "latency_ms": facts["latency_ms"], "out": str(each.out), "facts": facts})
            _write(job.out / SWEEP, job.out / REPORT, points)
    drawn = _draw(job.out, points, narrator)
    common = {
        "model": job.source.model,
        "data": job.data,
        "out": str(job.out),
        "figure": drawn,
        "report": str(job.out / REPORT),
    }
    return {**common, "points": points, "seconds": round(watch.seconds(), 2)}


def _write(path: Path, page: Path, points: list[dict[str, Any]]) -> None:
    """Write what is known by now, and the report of it."""
    from gnnrl.files import write_whole
    from gnnrl.report.sweep import parse_sweep, render_sweep

    text = json.dumps({"points": points}, indent=1) + "\n"
    write_whole(path, text.encode())
    write_whole(page, render_sweep(parse_sweep(text)).encode())


def _draw(folder: Path, points: list[dict[str, Any]], narrator: Narrator) -> str | None:
    """Draw the curve where matplotlib is installed, else say what is missing."""
    from gnnrl.figures import draw_tradeoff

    try:
        draw_tradeoff(points, folder / FIGURE)
    except ConfigError as error:
        narrator.warn(f"no figure: {error}")
        return None
    return str(folder / FIGURE)


def tabulate(facts: Mapping[str, Any]) -> Table:
    """Tabulate a row for each limit, the dense network first."""
    from gnnrl.report.names import STAGES

    points = facts["points"]
    stages = [name for name in points[0]["score"] if name not in ("dense", "pruned")]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("limit", no_wrap=True)
    for title in ("size", "MACs", "parameters", "ms an image", *(f"top-1 {STAGES[name]}" for name in stages)):
        table.add_column(title, justify="right")
    first = points[0]
    dense = [f"{first['facts'][name]['dense']:,}" for name in ("macs", "params")]
    score = f"{first['score']['dense']:.1%}"
    table.add_row("dense", "100.0%", *dense, f"{first['latency_ms']['dense']:.2f}", *[score] * len(stages))
    for entry in points:
        sizes = (f"{entry['size']:.1%}", f"{entry['macs']:,}", f"{entry['params']:,}")
        scores = (f"{entry['score'][name]:.1%}" for name in stages)
        table.add_row(entry["constraint"], *sizes, f"{entry['latency_ms']['pruned']:.2f}", *scores)
    return table
