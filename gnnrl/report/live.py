"""A running search in the browser: a page that is made anew from the run's journal each time it is asked for.

A run directory has settings.json (what was asked) and journal.jsonl (one JSON object a line, of which those of kind
"trial" are judged plans and those of kind "search" say how many there will be). The directory is only read; another
process writes to it, so a last line that is not whole yet is left for the next time.
"""

import json
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from time import time
from typing import Any

from pydantic import ValidationError

from gnnrl.errors import ConfigError, GnnrlError
from gnnrl.report.charts import draw_plans, draw_search
from gnnrl.report.names import duration, plural, score
from gnnrl.report.page import POLICY, Tile, render, style, templates
from gnnrl.report.record import Judged, Width, read_record
from gnnrl.target import HISTORY, JOURNAL, SETTINGS

HOME = "127.0.0.1"
_LARGEST = 2**28
_FEWEST_PLANS = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        options: what was asked, as the command line names it.
        total: plans that the search may judge; None where the journal does not say so yet.
        silence: seconds since the journal was written last.
    """

    options: dict[str, Any]
    trials: tuple[Judged, ...]
    total: int | None
    silence: float

    @property
    def left(self) -> float | None:
        """Seconds that the search will take, if plans cost as much as they did."""
        if self.total is None or not self.trials:
            return None
        return max(self.total - len(self.trials), 0) * median(trial.seconds for trial in self.trials)


def find_run(path: str | Path) -> Path:
    """The run directory of a result: the directory itself, `PATH.run` while it lasts, or `PATH/run` afterwards.

    Raises:
        ConfigError: there is neither a run nor a result.
    """
    given = Path(path)
    for candidate in (given, given.with_name(f"{given.name}.run"), given / "run"):
        if (candidate / JOURNAL).is_file():
            return candidate
    raise ConfigError(
        f"there is no run in {given} (nor in {given.name}.run): give the --out of a gnnrl prune that is running"
    )


def read_progress(run: Path) -> Progress:
    """Read what is there; lines that cannot be read end the journal."""
    trials: list[Judged] = []
    total = None
    journal = run / JOURNAL
    try:
        lines = journal.read_bytes()[:_LARGEST].splitlines()
        silence = max(time() - journal.stat().st_mtime, 0.0)
    except OSError:
        lines, silence = [], 0.0
    for line in lines:
        try:
            found = json.loads(line)
            if found["kind"] == "trial":
                trials.append(Judged.model_validate(found))
            elif found["kind"] == "search":
                total = int(found["evaluations"])
        except (ValueError, KeyError, TypeError, RecursionError, ValidationError):
            break
    return Progress(_options(run / SETTINGS), tuple(trials), total, silence)


def _options(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    options = found.get("options") if isinstance(found, dict) else None
    if not isinstance(options, dict):
        return {}
    source = options.get("source")
    return {**options, **source} if isinstance(source, dict) else options


def render_progress(progress: Progress, name: str) -> str:
    """Write the page of a run; it asks for itself again every few seconds."""
    trials = progress.trials
    options = {key: str(value) for key, value in progress.options.items()}
    metric = options.get("metric", "score")
    several = len(trials) >= _FEWEST_PLANS and len({len(trial.widths) for trial in trials}) == 1
    return (
        templates()
        .get_template("live.html")
        .render(
            style=style(),
            title=f"{options.get('model') or name} at {options.get('constraint') or 'its limit'}",
            tiles=_tiles(progress, metric),
            search=draw_search(trials, metric) if len(trials) > 1 else "",
            plans=draw_plans(trials, _widest(trials)) if several else "",
            lead=_state(progress),
            seconds=2 if len(trials) < 500 else 10,
        )
    )


def _tiles(progress: Progress, metric: str) -> list[Tile]:
    trials = progress.trials
    total = f"of {progress.total:,}" if progress.total is not None else "judged so far"
    tiles = [Tile("plans", f"{len(trials):,}", total)]
    if trials:
        shown = "top1" if metric == "top1" else "score"
        best = max(trials, key=lambda trial: trial.score)
        tiles.append(Tile("best", score(best.score, shown), f"plan {trials.index(best) + 1}"))
        tiles.append(Tile("first", score(trials[0].score, shown), "where the search began"))
    if progress.left is not None:
        each = duration(median(trial.seconds for trial in trials))
        tiles.append(Tile("time left", duration(progress.left), f"{each} a plan"))
    return tiles


def _state(progress: Progress) -> str:
    if not progress.trials:
        return "No plan is judged yet: the network is traced, and its calibration data read."
    if progress.total is not None and len(progress.trials) >= progress.total:
        return f"All {plural(progress.total, 'plan')} are judged; fine-tuning, test and report follow."
    ago = "just now" if progress.silence < 2 else f"{duration(progress.silence)} ago"
    return f"The last plan was judged {ago}."


def _widest(trials: tuple[Judged, ...]) -> list[Width]:
    """The groups as far as a journal knows them: the widest that each one was in any plan."""
    columns = zip(*(trial.widths for trial in trials), strict=True)
    return [Width(name=str(at), dense=max(max(column), 1), pruned=1) for at, column in enumerate(columns)]


def page_of(path: str | Path) -> str:
    """The page of a run that lasts, or the report once there is one.

    Raises:
        GnnrlError: there is neither, or the result is damaged.
    """
    given = Path(path)
    lasting = given.with_name(f"{given.name}.run")
    if (given / HISTORY).is_file() and not (lasting / JOURNAL).is_file():
        return render(read_record(given), str(given))
    return render_progress(read_progress(_in_hand(find_run(lasting if lasting.is_dir() else given))), given.name)


def _in_hand(run: Path) -> Path:
    """Of a sweep, the run of the limit in hand; any other run itself."""
    if "limits" not in _options(run / SETTINGS):
        return run
    journals = run.with_name(run.name.removesuffix(".run")).glob(f"*.run/{JOURNAL}")
    return max((path.parent for path in journals), key=lambda path: (path / JOURNAL).stat().st_mtime, default=run)


def serve(path: str | Path, port: int = 0) -> ThreadingHTTPServer:
    """Make a server on this machine, for this machine; `serve_forever` starts it.

    Only GET of the one page is answered, and only under the names of this machine, so that a foreign page whose
    name was pointed here learns nothing.

    Args:
        port: 0 takes a free one.

    Raises:
        ConfigError: there is no run, or the port is taken.
    """
    page_of(path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            names = {f"{name}:{self.connection.getsockname()[1]}" for name in (HOME, "localhost")}
            if self.headers.get("Host") not in names:
                self.send_error(403)
                return
            if self.path != "/":
                self.send_error(404)
                return
            try:
                body, code = page_of(path).encode(), 200
            except GnnrlError as error:
                body, code = str(error).encode(), 500
            self.send_response(code)
            self.send_header("Content-Type", f"text/{'html' if code == 200 else 'plain'}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the terminal is for the person who started this."""

    try:
        return ThreadingHTTPServer((HOME, port), Handler)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port {port} cannot be used: {error}; choose another with --port, or 0 for any") from error
