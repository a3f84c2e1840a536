"""`gnnrl compare`: searchers side by side on a network and data of the user's own."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from gnnrl.cli import options
from gnnrl.cli.completion import each_of
from gnnrl.cli.console import Narrator, narration, stdout
from gnnrl.cli.fields import takes_fields
from gnnrl.cli.jobs import Job, check_written, executor_of, prepare
from gnnrl.cli.startup import import_engine, limited_threads
from gnnrl.cli.training import Training
from gnnrl.errors import ConfigError
from gnnrl.runs.interruption import Interrupted, Interruption

if TYPE_CHECKING:
    from gnnrl.compression.comparison import Comparison

_FILE, _FIGURE = "comparison.json", "comparison.svg"

SearchersOption = Annotated[
    str,
    typer.Option(
        metavar="NAME,NAME",
        autocompletion=each_of(options.SEARCHERS),
        help=f"Any of {', '.join(options.SEARCHERS)} (cma and tpe need the extra search), and your own as "
        "file.py:name.",
    ),
]
SeedsOption = Annotated[int, typer.Option(min=1, metavar="N", help="Runs of each searcher, with the seeds 0, 1, ...")]
FolderOption = Annotated[
    Path,
    typer.Option(
        "--out", metavar="DIR", help=f"Folder of {_FILE} and {_FIGURE}; runs that are there are not repeated."
    ),
]


_ALONE = {each.name for each in fields(Training)} - {"precision", "device", "threads"} | {"searcher", "force"}
"""Options of `gnnrl prune` that a comparison does not have."""


@takes_fields(without=_ALONE)
def compare(
    job: Job,
    searchers: SearchersOption = "ppo,ddpg,evolution,annealing,greedy,random,random-prior,curves,ranked,uniform",
    seeds: SeedsOption = 3,
    out: FolderOption = Path("gnnrl-compare"),
    as_json: options.JsonOption = False,
) -> None:
    """Run several searchers with equal numbers of evaluations: a table, best-so-far as a figure, all numbers as JSON.

    Nothing is fine-tuned. The test images are read once for the best plan of each run, after all runs. Interrupted, it
    goes on with the same command.
    """
    names, asked = _read_names(searchers), replace(job, finetune_epochs=0)
    with narration(quiet=as_json) as narrator:
        check_written(asked)
        import_engine(narrator)
        with limited_threads(job.threads), _telling(out / _FILE):
            comparison = _work(asked, names, range(seeds), narrator)
    known = {"model": job.source.model, "data": job.data, "out": str(out), "missing": comparison.missing}
    facts = known | asdict(comparison)
    facts["rows"] = [asdict(row) for row in comparison.rows()]
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        _show(facts, job.metric, out)


def _show(facts: dict[str, Any], metric: options.MetricOption, out: Path) -> None:
    stdout().print(_table(facts, metric))
    stdout().print(f"Written to {out / _FILE} and {out / _FIGURE}.")


def _read_names(text: str) -> list[str]:
    names = [options.check_searcher(name.strip()) for name in text.split(",")]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"--searchers names {twice[0]} twice; give each searcher once")
    return names


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Say what is kept, and how to go on, where the command is told to end."""
    try:
        with Interruption().handled():
            yield
    except Interrupted as error:
        kept = f"Finished runs are kept in {path}" if path.exists() else "No run was finished"
        error.add_note(f"{kept}; the same command goes on with the others.")
        raise


def _work(job: Job, names: Sequence[str], seeds: Sequence[int], narrator: Narrator) -> "Comparison":
    from gnnrl.compression.contest import Contest
    from gnnrl.compression.figures import draw_comparison
    from gnnrl.searchers.table import find_searcher

    for name in names:
        find_searcher(name)
    contest = Contest.of(names, seeds, job.episodes, job.out / _FILE)
    work = prepare(job, narrator, [job.constraint])
    test = work.test
    comparison = work.study.compare(work.goal, contest, test=test, executor=executor_of(job))
    draw_comparison(comparison, job.out / _FIGURE)
    return comparison


def _table(facts: Mapping[str, Any], metric: options.Metric) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("searcher", no_wrap=True)
    for title in ("seeds", "plans", "best reward", "spread", "test top-1", "spread", "seconds"):
        table.add_column(title, justify="right")
    shown = ("{:.2%}" if metric == "top1" else "{:.4f}").format
    table.add_row("dense", "", "", shown(facts["dense"]["reward"]), "", f"{facts['dense']['test']:.2%}", "", "")
    for row in facts["rows"]:
        table.add_row(
            row["searcher"],
            str(row["seeds"]),
            str(row["evaluations"]),
            shown(row["reward"]),
            shown(row["reward_spread"]) if row["seeds"] > 1 else "",
            f"{row['test']:.2%}",
            f"{row['test_spread']:.2%}" if row["seeds"] > 1 else "",
            f"{row['seconds']:.1f}",
        )
    return table
