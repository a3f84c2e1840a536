"""`gnnrl prune --sweep`: several limits in one go, a saved network for each, a table, a JSON file and a figure.

sweep.run/             while the sweep lasts: its settings, and in its journal a point for each limit that is finished
sweep/macs-30/         the result of a limit, there as a whole
sweep/macs-50.run/     the run of the limit in hand, which names the run of the sweep
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from gnnrl.cli.console import Narrator, Stopwatch, stdout
from gnnrl.cli.jobs import Job, Sweep, check_settings, check_written, prepare
from gnnrl.cli.results import save_result
from gnnrl.cli.run_settings import naming, written
from gnnrl.cli.runs import Session, is_part, run_path, running, running_part, tidy_part
from gnnrl.cli.startup import import_engine, limited_threads
from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.storage.layout import FIGURE, REPORT, SWEEP, check_sweep, check_target

if TYPE_CHECKING:
    from gnnrl.runs.directory import RunDirectory

_BEGUN, _POINT = "limit", "point"
"""Kinds of the records in the journal of a sweep."""

Point = dict[str, Any]


def read_limits(text: str, constraint: str) -> tuple[str, ...]:
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
    return tuple(limits)


def run_sweep(
    job: Sweep, narrator: Narrator, settings: Mapping[str, Any] | None = None, *, repair: bool = False
) -> dict[str, Any]:
    """Compress to every limit, save each result as soon as it is there, and return all facts that `--json` prints.

    Args:
        settings: those of the run of the sweep that was begun: limits that it has finished are kept.
        repair: see `RunDirectory`.

    Raises:
        GnnrlError: see `gnnrl.errors`; results that were saved before stay.
        Interrupted: the command was told to end; `gnnrl resume` goes on.
    """
    watch = Stopwatch()
    jobs = job.jobs()
    places = [each.out for each in jobs]
    for each in jobs:
        check_written(each)
    if settings is None and (job.force or not run_path(job.out).exists()):
        check_sweep(job.out, places, force=job.force)
    import_engine(narrator)
    with limited_threads(job.threads):
        for each in jobs:
            check_settings(each)
        begun, code = settings or written(job), naming(job)
        with running(job.out, begun, narrator, force=job.force, arguments=code, repair=repair) as session:
            if session.directory.is_new:
                check_sweep(job.out, places, force=job.force)
            points = _read_points(session.directory)
            left = [_left(each, points, session) for each in jobs]
            if any(left):
                _work(jobs, [each for each in left if each], points, narrator, session, repair=repair)
            found = _write(jobs, points)
            session.directory.remove()
    common = {
        "model": job.source.model,
        "data": job.data,
        "out": str(job.out),
        "figure": str(job.out / FIGURE),
        "report": str(job.out / REPORT),
    }
    return {**common, "points": found, "seconds": round(watch.seconds(), 2)}


def _read_points(directory: "RunDirectory") -> dict[str, Point]:
    """The points of the limits that a sweep has finished, by limit.

    Raises:
        ArtifactError: the journal holds something else.
    """
    from gnnrl.report.sweep import parse_sweep

    points: dict[str, Point] = {}
    for line, record in enumerate(directory.journal.records, 1):
        if record["kind"] == _POINT:
            try:
                parse_sweep(json.dumps({"points": [record["point"]]}))
                points[record["point"]["constraint"]] = record["point"]
            except (KeyError, TypeError, ValueError) as error:
                raise ArtifactError(f"{directory.journal.path}: line {line} holds no point: {error}") from error
    return points


def _left(job: Job, points: dict[str, Point], session: Session) -> Job | None:
    """What is left of a limit: nothing where this sweep has finished it.

    Raises:
        ConfigError: something else is in its place.
    """
    if not is_part(session, job.out):
        points.pop(job.constraint, None)
        check_target(job.out, force=job.force)
        return job
    if job.constraint not in points:
        return replace(job, force=True)
    tidy_part(session, job.out)
    return None


def _work(
    jobs: Sequence[Job],
    left: Sequence[Job],
    points: dict[str, Point],
    narrator: Narrator,
    session: Session,
    *,
    repair: bool,
) -> None:
    """Search what is left of the limits, and add their points; what is shared is prepared for all, as at first."""
    from gnnrl.compression.points import point
    from gnnrl.runs.timings import ledger_of

    work = prepare(jobs[0], narrator, [each.constraint for each in jobs], session)
    test, goals = work.test, {goal.constraint: goal for goal in work.goals}
    times = work.study.timing.ledger.measured
    for each in left:
        session.enter("limit")
        narrator.begin(f"limit {each.constraint}")
        session.directory.journal.append(_BEGUN, constraint=each.constraint)
        with running_part(session, each.out, written(each), force=each.force, repair=repair) as part:
            ledger_of(part.directory, times)
            result = work.study.compress(goals[each.constraint], work.search(part), test=test, run=part.directory)
            save_result(each, work, result, part, partial(_note, point(result), each, points, session))
        _write(jobs, points)


def _note(found: Point, job: Job, points: dict[str, Point], session: Session, facts: dict[str, Any]) -> None:
    """Write a point down before its result is there: a result of this sweep that has none is searched again."""
    told = {**found, "latency_ms": facts["latency_ms"], "facts": facts}
    session.directory.journal.append(_POINT, point=told)
    points[job.constraint] = told


def _write(jobs: Sequence[Job], points: Mapping[str, Point]) -> list[Point]:
    """Write and return what is known by now, in the order of the limits, and the report of it."""
    from gnnrl.compression.figures import draw_tradeoff
    from gnnrl.report.sweep import parse_sweep, render_sweep
    from gnnrl.storage.files import write_whole

    placed = [(points[job.constraint], str(job.out)) for job in jobs if job.constraint in points]
    found = [{**point, "out": out, "facts": {**point["facts"], "out": out}} for point, out in placed]
    folder, text = jobs[0].out.parent, json.dumps({"points": found}, indent=1) + "\n"
    write_whole(folder / SWEEP, text.encode())
    write_whole(folder / REPORT, render_sweep(parse_sweep(text)).encode())
    draw_tradeoff(found, folder / FIGURE)
    return found


def show_sweep(facts: Mapping[str, Any]) -> None:
    """Print the results of a sweep, and where they are."""
    stdout().print(tabulate(facts))
    stdout().print(f"Saved in {facts['out']}, a folder for each limit, after {facts['seconds']:.0f} s.")
    stdout().print(f"  in a browser: {facts['report']}")


def tabulate(facts: Mapping[str, Any]) -> Table:
    """Tabulate a row for each limit, the dense network first."""
    from gnnrl.report.names import STAGES
    from gnnrl.report.sweep import parse_sweep

    points = parse_sweep(json.dumps({"points": facts["points"]})).points
    first = points[0]
    stages = [name for name in first.score if name not in ("dense", "pruned")]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("limit", no_wrap=True)
    for title in ("size", "MACs", "parameters", "ms an image", *(f"top-1 {STAGES[name]}" for name in stages)):
        table.add_column(title, justify="right")
    own = first.facts
    sizes = ("100.0%", f"{own.macs.dense:,.0f}", f"{own.params.dense:,.0f}")
    table.add_row("dense", *sizes, f"{own.latency_ms.dense:.2f}", *[f"{first.score['dense']:.1%}"] * len(stages))
    for point in points:
        own = point.facts
        sizes = (f"{point.shares[point.metric]:.1%}", f"{own.macs.pruned:,.0f}", f"{own.params.pruned:,.0f}")
        scores = (f"{point.score[name]:.1%}" for name in stages)
        table.add_row(point.constraint, *sizes, f"{own.latency_ms.pruned:.2f}", *scores)
    return table
