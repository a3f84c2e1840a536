"""`gnnrl prune --sweep`: several limits, with a saved network for each, a table, a JSON file and a figure.

sweep.run/             during the sweep: its settings, and in its journal a point for each finished limit
sweep/macs-30/         the result of a limit
sweep/macs-50.run/     the run of the current limit, which names the run of the sweep
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

from rich.table import Table

from gnnrl.cli.command import Outcome
from gnnrl.cli.console import Narrator, stdout
from gnnrl.cli.jobs import Job, Sweep
from gnnrl.cli.preparing import check_settings, prepare
from gnnrl.cli.results import Pruned, save_result
from gnnrl.cli.run_settings import running_job, written
from gnnrl.cli.runs import Found, Session, is_part, run_path, running_part, tidy
from gnnrl.cli.tables import new_table
from gnnrl.compression.figures import draw_tradeoff
from gnnrl.compression.result import point
from gnnrl.report.names import STAGES
from gnnrl.report.sweep import Sweep as Points
from gnnrl.report.sweep import parse_sweep, render_sweep
from gnnrl.runs.directory import RunDirectory
from gnnrl.runs.timings import ledger_of
from gnnrl.storage.files import write_whole
from gnnrl.storage.journal import Record
from gnnrl.storage.layout import FIGURE, RECORDS, REPORT, SWEEP, check_sweep, check_target

_STARTED, _POINT = "limit", "point"
"""Kinds of the entries in the journal of a sweep."""

Point = dict[str, Any]
"""A finished limit as JSON; `gnnrl.report.sweep.Point` checks it."""


@dataclass(frozen=True, slots=True)
class Swept(Outcome):
    """A finished sweep: where it is saved, and a point for each limit."""

    model: str
    data: str
    out: str
    figure: str
    report: str
    points: list[Point]
    seconds: float

    def show(self) -> None:
        """Print the table, and where the results are."""
        stdout().print(tabulate(parse_sweep(json.dumps({"points": self.points}))))
        stdout().print(f"Saved in {self.out}, with a folder for each limit, after {self.seconds:.0f} s.")
        stdout().print(f"  in a browser: {self.report}")


def run_sweep(job: Sweep, narrator: Narrator, start: float, found: Found | None = None) -> Swept:
    """Compress to every limit, and save each result as soon as it is complete.

    Args:
        start: when the command was started.
        found: the run of the sweep, if it was started earlier; its finished limits are kept.
    """
    jobs = job.jobs()
    check_settings(job)
    with running_job(job, narrator, found) as session:
        if session.directory.is_new:
            check_sweep(job.out, [each.out for each in jobs], force=job.force)
        points = _read_points(session.directory)
        left = [rest for each in jobs if (rest := _left(each, points, session))]
        if left:
            _work(jobs, left, points, narrator, session, repair=found is not None and found.repair)
        known = _write(jobs, points)
        session.directory.remove()
    out, seconds = job.out, round(perf_counter() - start, 2)
    return Swept(job.source.model, job.data, str(out), str(out / FIGURE), str(out / REPORT), known, seconds)


def _read_points(directory: RunDirectory) -> dict[str, Point]:
    """Return the points of the finished limits of a sweep, by limit."""
    return {point["constraint"]: point for _, point in directory.journal.parsed(_POINT, _point)}


def _point(record: Record) -> Point:
    parse_sweep(json.dumps({"points": [record["point"]]}))
    point: Point = record["point"]
    return point


def _left(job: Job, points: dict[str, Point], session: Session) -> Job | None:
    """Return what is left of a limit, or None if this sweep has finished it."""
    if not is_part(session, job.out / RECORDS):
        points.pop(job.constraint, None)
        check_target(job.out, force=job.force)
        return job
    if job.constraint not in points:
        return replace(job, force=True)
    if is_part(session, run_path(job.out)):
        tidy(job.out)
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
    """Search what is left of the limits, and add their points.

    What the limits share is prepared for all of them, as in the first session.
    """
    work = prepare(jobs[0], narrator, [each.constraint for each in jobs], session)
    test, goals = work.test, {goal.constraint: goal for goal in work.goals}
    times = work.study.timing.ledger.measured
    for each in left:
        session.enter("limit")
        narrator.begin(f"limit {each.constraint}")
        session.directory.journal.append(_STARTED, constraint=each.constraint)
        start = perf_counter()
        with running_part(session, each.out, written(each), force=each.force, repair=repair) as part:
            ledger_of(part.directory, times)
            result = work.study.compress(goals[each.constraint], work.search(part), test=test, run=part.directory)
            note = partial(_note, point(result), points, session)
            save_result(each, work, result, part, start, note=note)
        _write(jobs, points)


def _note(found: Mapping[str, object], points: dict[str, Point], session: Session, pruned: Pruned) -> None:
    """Record a point before its result is saved: a limit with a result and no point is searched again."""
    facts = pruned.facts()
    whole = {**found, "latency_ms": facts["latency_ms"], "facts": facts}
    session.directory.journal.append(_POINT, point=whole)
    points[str(found["constraint"])] = whole


def _write(jobs: Sequence[Job], points: Mapping[str, Point]) -> list[Point]:
    """Write the known points in the order of the limits, and their report; return them."""
    placed = [(points[job.constraint], str(job.out)) for job in jobs if job.constraint in points]
    found = [{**point, "out": out, "facts": {**point["facts"], "out": out}} for point, out in placed]
    folder, text = jobs[0].out.parent, json.dumps({"points": found}, indent=1) + "\n"
    write_whole(folder / SWEEP, text.encode())
    write_whole(folder / REPORT, render_sweep(parse_sweep(text)).encode())
    draw_tradeoff(found, folder / FIGURE)
    return found


def tabulate(sweep: Points) -> Table:
    """Tabulate the dense network, and the network of each limit."""
    first = sweep.points[0]
    stages = [name for name in first.score if name not in ("dense", "pruned")]
    table = new_table("limit", "size", "MACs", "parameters", "ms/input", *(f"top-1 {STAGES[name]}" for name in stages))
    costs = [(own.macs, own.params, own.latency_ms) for own in (each.facts for each in sweep.points)]
    macs, params, latency = (change.dense for change in costs[0])
    level = f"{first.score['dense']:.1%}"
    table.add_row("dense", "100.0%", f"{macs:,.0f}", f"{params:,.0f}", f"{latency:.2f}", *[level] * len(stages))
    for each, changes in zip(sweep.points, costs, strict=True):
        macs, params, latency = (change.pruned for change in changes)
        scores = (f"{each.score[name]:.1%}" for name in stages)
        sizes = (f"{each.shares[each.metric]:.1%}", f"{macs:,.0f}", f"{params:,.0f}", f"{latency:.2f}")
        table.add_row(each.constraint, *sizes, *scores)
    return table
