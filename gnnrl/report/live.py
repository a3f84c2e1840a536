"""A running search in the browser: a page that is written again every few seconds and refreshes itself.

Another process writes the run directory; here it is only read.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import sleep, time

from gnnrl.errors import ConfigError
from gnnrl.report.charts import draw_plans, draw_search
from gnnrl.report.elements import fill
from gnnrl.report.limits import show_limit
from gnnrl.report.names import duration, plural, score
from gnnrl.report.page import Tile
from gnnrl.report.record import Judged
from gnnrl.storage.files import check_home, write_whole
from gnnrl.storage.journal import sound_entries
from gnnrl.storage.layout import JOURNAL, LIVE, RECORDS, REPORT, SETTINGS


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a run.

    Attributes:
        options: options of the command, by name.
        total: plans that the search may judge; None until the journal says so.
        silence: seconds since the journal was last written.
    """

    options: Mapping[str, str]
    trials: tuple[Judged, ...]
    total: int | None
    silence: float

    @property
    def left(self) -> float | None:
        """Seconds that the search will take, if plans cost as much as they did."""
        if self.total is None or not self.trials:
            return None
        return max(self.total - len(self.trials), 0) * median(trial.seconds for trial in self.trials)


def page_path(path: str | Path) -> Path:
    """Return where the page of a run is written by default: small.live.html next to small and small.run."""
    given = Path(path).absolute()
    return given.with_name(given.name.removesuffix(".run") + LIVE)


def find_run(path: str | Path) -> Path:
    """Find a run: the directory itself, `PATH.run` during the run, or `PATH/run` afterwards."""
    given = Path(path).absolute()
    for candidate in (given, given.with_name(f"{given.name}.run"), given / "run"):
        if (candidate / JOURNAL).is_file():
            return candidate
    raise ConfigError(
        f"there is no run in {path} (nor in {given.name}.run): give the --out of a gnnrl prune that is running"
    )


def read_progress(run: Path) -> Progress:
    """Read the journal of a run up to the first line that is damaged or not complete yet."""
    trials: list[Judged] = []
    total, silence, journal = None, 0.0, run / JOURNAL
    with suppress(OSError, ValueError, KeyError, TypeError):  # there is no journal any more, or an entry is not valid
        silence = max(time() - journal.stat().st_mtime, 0.0)
        for record, _ in sound_entries(journal):
            if record["kind"] == "trial":
                trials.append(Judged.model_validate(record))
            elif record["kind"] == "search":
                total = int(record["evaluations"])
    return Progress(_options(run / SETTINGS), tuple(trials), total, silence)


def _options(path: Path) -> Mapping[str, str]:
    try:
        options = json.loads(path.read_bytes())["options"]
        return {name: str(value) for name, value in {**options, **options.get("source", {})}.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def render_progress(progress: Progress, name: str, ending: str = "", report: Path | None = None) -> str:
    """Write the page of a run; the browser loads it again every few seconds, unless an `ending` says why not."""
    trials, options = progress.trials, progress.options
    metric = options.get("metric", "score")
    widest = [max(column) for column in zip(*(trial.widths for trial in trials), strict=False)]
    return fill(
        "live.html",
        title=f"{options.get('model') or name} at {show_limit(options.get('constraint') or 'its limit')}",
        tiles=_tiles(progress, metric)[: 3 if ending else None],  # no time is left of a run that ended
        search=draw_search(trials, metric),
        plans=draw_plans(trials, widest),
        lead=_state(progress) if not ending else f"{ending}.",
        report=report.absolute().as_uri() if report else "",
        seconds=0 if ending else _seconds(progress),
    )


def _seconds(progress: Progress) -> int:
    """Seconds between two pages: a long journal takes longer to read."""
    return 2 if len(progress.trials) < 500 else 10


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


def follow(path: str | Path, page: Path, pause: Callable[[float], None] = sleep) -> None:
    """Write the page of a run every few seconds until the run ends or Ctrl-C; the last page does not refresh itself.

    Args:
        path: the result of the run, whether it is there already or not, or the run directory.
        pause: waits between two pages; it is given the seconds.

    Raises:
        ConfigError: there is no run, or the page cannot be written.
    """
    run, name = find_run(path), Path(path).absolute().name.removesuffix(".run")
    check_home(page)
    progress, ending = read_progress(_in_hand(run)), "The run has ended"
    try:
        while run.name != RECORDS and (run / JOURNAL).is_file():
            progress = read_progress(_in_hand(run))
            write_whole(page, render_progress(progress, name).encode())
            pause(_seconds(progress))
        with suppress(ConfigError):  # the records of a result have the last plans, a sweep has none
            progress = read_progress(find_run(path))
    except KeyboardInterrupt:
        ending = "The run may still continue, but this page is not updated any more"
    report = run.with_name(name) / REPORT if run.name != RECORDS else run.with_name(REPORT)
    write_whole(page, render_progress(progress, name, ending, report if report.is_file() else None).encode())


def _in_hand(run: Path) -> Path:
    """The run that is being worked on: in a sweep, that of the current limit."""
    if "limits" not in _options(run / SETTINGS):
        return run
    journals = run.with_name(run.name.removesuffix(".run")).glob(f"*.run/{JOURNAL}")
    with suppress(OSError):  # a limit may end between the search for its journal and the look at it
        return max(journals, key=lambda path: path.stat().st_mtime, default=run / JOURNAL).parent
    return run
