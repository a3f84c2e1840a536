"""`gnnrl compare`: searchers side by side on a network and data of the user's own."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from gnnrl.cli import options
from gnnrl.cli.console import Narrator, narration, stdout
from gnnrl.cli.inputs import Source, load_network, load_splits
from gnnrl.cli.jobs import STAGES, Best, Job, check_settings, check_written, refuse_unreachable, shared_arguments
from gnnrl.cli.startup import import_engine, limited_threads
from gnnrl.cli.width_rules import Widths
from gnnrl.errors import ConfigError
from gnnrl.runs.interruption import Interrupted, Interruption

if TYPE_CHECKING:
    from gnnrl.compression.comparison import Comparison

_FILE, _FIGURE = "comparison.json", "comparison.svg"

SearchersOption = Annotated[
    str,
    typer.Option(
        metavar="NAME,NAME",
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


def compare(
    model: options.ModelOption,
    data: options.DataOption,
    weights: options.WeightsOption = None,
    pretrained: options.PretrainedOption = False,
    constraint: options.ConstraintOption = "macs<=50%",
    searchers: SearchersOption = "ppo,ddpg,evolution,annealing,greedy,random,random-prior,curves,ranked,uniform",
    seeds: SeedsOption = 3,
    out: FolderOption = Path("gnnrl-compare"),
    as_json: options.JsonOption = False,
    device: options.DeviceOption = "cpu",
    threads: options.ThreadsOption = None,
    precision: options.PrecisionOption = "float32",
    episodes: options.EpisodesOption = 150,
    importance: options.ImportanceOption = "curves",
    repair: options.RepairOption = "ls",
    metric: options.MetricOption = "top1",
    reward_images: options.RewardImagesOption = None,
    calibration_images: options.CalibrationOption = 500,
    executor: options.ExecutorOption = "serial",
    workers: options.WorkersOption = None,
    address: options.AddressOption = None,
    min_width: options.MinWidthOption = 1,
    round_to: options.RoundToOption = "auto",
    keep: options.KeepOption = None,
    bounds: options.BoundsOption = None,
    only: options.OnlyOption = None,
    input_shape: options.InputShapeOption = None,
    mean: options.MeanOption = None,
    std: options.StdOption = None,
) -> None:
    """Run several searchers with equal numbers of evaluations: a table, best-so-far as a figure, all numbers as JSON.

    Nothing is fine-tuned. The test images are read once for the best plan of each run, after all runs. Interrupted, it
    goes on with the same command.
    """
    settings = dict(locals())
    as_json, names, count = settings.pop("as_json"), _read_names(settings.pop("searchers")), settings.pop("seeds")
    source = Source(**{name: settings.pop(name) for name in Source.__dataclass_fields__})
    job = Job(source=source, widths=Widths.take(settings), **settings)
    with narration(quiet=as_json) as narrator:
        check_written(job)
        import_engine(narrator)
        with limited_threads(job.threads), _telling(out / _FILE):
            comparison = _work(job, names, range(count), narrator)
    facts = {"model": model, "data": data, "out": str(out), "missing": comparison.missing} | asdict(comparison)
    facts["rows"] = [asdict(row) for row in comparison.rows()]
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        _show(facts, metric, out)


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
    from gnnrl.compression.comparison import compare
    from gnnrl.compression.figures import draw_comparison
    from gnnrl.searchers.table import find_searcher

    check_settings(job)
    for name in names:
        find_searcher(name)
    fed = load_network(job.source, job.device, narrator)
    network = refuse_unreachable(job, fed, narrator)
    data = load_splits(job.data, fed, narrator)

    def begin(stage: str) -> None:
        if stage != "trace":  # that was told before
            narrator.begin(*STAGES.get(stage, (stage, "plans")))
        telling.restart()

    telling = Best(job.metric, job.episodes, narrator)
    comparison = compare(
        fed.model,
        fed.example_inputs,
        job.constraint,
        searchers=names,
        seeds=seeds,
        path=job.out / _FILE,
        on_stage=begin,
        on_calibration=narrator.advance,
        on_trial=telling,
        **shared_arguments(job, fed.model, network, data),
    )
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
