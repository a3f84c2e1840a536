"""`gnnrl compare`: run several searchers on the user's network and data."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from gnnrl.cli.command import Outcome, command, torch_loaded
from gnnrl.cli.completion import each_of
from gnnrl.cli.console import Narrator, stdout
from gnnrl.cli.jobs import Job, Metric, check_written
from gnnrl.cli.options import SEARCHERS, check_searcher, option
from gnnrl.cli.training import Training
from gnnrl.errors import ConfigError
from gnnrl.runs.interruption import Interrupted, Interruption

if TYPE_CHECKING:
    from gnnrl.compression.comparison import Comparison

_FILE, _FIGURE = "comparison.json", "comparison.svg"
_ALONE = {each.name for each in fields(Training)} - {"precision", "device", "threads"}
_WITHOUT = _ALONE | {"searcher", "force", "keep_finetuned"}
"""Options of `gnnrl prune` that a comparison does not have."""


@dataclass(frozen=True, slots=True)
class Compared(Outcome):
    """A comparison, and where it is written."""

    model: str
    data: str
    out: Path
    metric: Metric
    comparison: "Comparison"

    def facts(self) -> Mapping[str, object]:
        """Return all runs, the missing ones, and a row for each searcher."""
        found = self.comparison
        rows = [asdict(row) for row in found.rows()]
        own = {"model": self.model, "data": self.data, "out": str(self.out), "missing": found.missing}
        return {**own, **asdict(found), "rows": rows}

    def show(self) -> None:
        """Print a table."""
        stdout().print(tabulate(self.comparison, self.metric))
        stdout().print(f"Written to {self.out / _FILE} and {self.out / _FIGURE}.")


@command(without=_WITHOUT)
def compare(
    narrator: Narrator,
    job: Job,
    searchers: Annotated[
        str,
        option(
            f"Any of {', '.join(SEARCHERS)} (cma and tpe need the extra search), and your own as file.py:name.",
            metavar="NAME,NAME",
            autocompletion=each_of(SEARCHERS),
        ),
    ] = "ppo,ddpg,evolution,annealing,greedy,random,random-prior,curves,ranked,uniform",
    seeds: Annotated[int, option("Number of runs of each searcher, with the seeds 0, 1, ...", min=1)] = 3,
    out: Annotated[
        Path, option(f"Folder for {_FILE} and {_FIGURE}; the runs in it are not repeated.", "--out", metavar="DIR")
    ] = Path("gnnrl-compare"),
) -> Compared:
    """Run several searchers with the same number of evaluations. Get a table, a figure of the best so far, and JSON.

    Nothing is fine-tuned. The test images are read once for the best plan of each run, after all runs. If interrupted,
    the same command resumes.
    """
    names, job = [check_searcher(name.strip()) for name in searchers.split(",")], replace(job, finetune_epochs=0)
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"--searchers names {twice[0]} twice; give each searcher once")
    check_written(job)
    with torch_loaded(narrator, job.threads), _explained(out / _FILE):
        from gnnrl.cli.preparing import check_settings, prepare
        from gnnrl.compression.contest import Contest
        from gnnrl.compression.figures import draw_comparison

        check_settings(job)
        contest = Contest(names, range(seeds), job.episodes, out / _FILE)
        work = prepare(job, narrator, [job.constraint])
        test = work.test
        comparison = work.study.compare(work.goal, contest, test=test, executor=job.place.find())
        draw_comparison(comparison, out / _FIGURE)
    return Compared(job.source.model, job.data, out, job.metric, comparison)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what is kept, and how to resume, if the command is interrupted."""
    try:
        with Interruption().handled():
            yield
    except Interrupted as error:
        kept = f"Finished runs are kept in {path}" if path.exists() else "No run was finished"
        error.add_note(f"{kept}; the same command resumes with the others.")
        raise


def tabulate(comparison: "Comparison", metric: Metric) -> Table:
    """Tabulate the dense network, and a row for each searcher."""
    from gnnrl.cli.tables import new_table

    table = new_table("searcher", "seeds", "plans", "best reward", "spread", "test top-1", "spread", "seconds")
    shown = ("{:.2%}" if metric == "top1" else "{:.4f}").format
    dense = comparison.dense
    table.add_row("dense", "", "", shown(dense["reward"]), "", f"{dense['test']:.2%}", "", "")
    for row in comparison.rows():
        spreads = [shown(row.reward_spread), f"{row.test_spread:.2%}"] if row.seeds > 1 else ["", ""]
        counts = (str(row.seeds), str(row.evaluations), shown(row.reward))
        table.add_row(row.searcher, *counts, spreads[0], f"{row.test:.2%}", spreads[1], f"{row.seconds:.1f}")
    return table
