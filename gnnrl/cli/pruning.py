"""`gnnrl prune`: a network and data of the user's own."""

import json
from pathlib import Path

import typer

from gnnrl.cli import options
from gnnrl.cli.console import narration, plain, stdout
from gnnrl.cli.job import Job, run_job
from gnnrl.cli.rehearsal import rehearse, show_rehearsal
from gnnrl.cli.settings import ConfigOption, PrintConfigOption, show_settings
from gnnrl.cli.sources import Source
from gnnrl.cli.sweeping import read_limits, run_sweep, tabulate
from gnnrl.cli.tables import show_result
from gnnrl.cli.widths import Widths
from gnnrl.errors import ConfigError


def prune(
    context: typer.Context,
    model: options.ModelOption,
    data: options.DataOption,
    weights: options.WeightsOption = None,
    pretrained: options.PretrainedOption = False,
    constraint: options.ConstraintOption = "macs<=50%",
    sweep: options.SweepOption = None,
    out: options.OutOption = Path("gnnrl-out"),
    force: options.ForceOption = False,
    dry_run: options.DryRunOption = False,
    as_json: options.JsonOption = False,
    seed: options.SeedOption = 0,
    device: options.DeviceOption = "cpu",
    threads: options.ThreadsOption = None,
    precision: options.PrecisionOption = "float32",
    searcher: options.SearcherOption = "ppo",
    episodes: options.EpisodesOption = 150,
    importance: options.ImportanceOption = "curves",
    repair: options.RepairOption = "ls",
    metric: options.MetricOption = "top1",
    calibration_images: options.CalibrationOption = 500,
    min_width: options.MinWidthOption = 1,
    round_to: options.RoundToOption = "auto",
    keep: options.KeepOption = None,
    bounds: options.BoundsOption = None,
    only: options.OnlyOption = None,
    finetune_epochs: options.FinetuneOption = 3,
    learning_rate: options.LearningRateOption = 0.03,
    batch_size: options.BatchSizeOption = 128,
    augment: options.AugmentOption = "crop",
    input_shape: options.InputShapeOption = None,
    mean: options.MeanOption = None,
    std: options.StdOption = None,
    config: ConfigOption = None,
    print_config: PrintConfigOption = False,
) -> None:
    """Shrink a network of yours to a size limit: search, prune, repair, fine-tune, verify, save.

    gnnrl prune --model cifar-resnet20 --weights resnet20.pth --data cifar10/ --constraint "macs<=50%" --out small
    """
    settings = dict(locals())
    if print_config:
        typer.echo(show_settings(context))
        return
    as_json, dry_run, limits = (settings.pop(name) for name in ("as_json", "dry_run", "sweep"))
    for name in ("context", "config", "print_config"):
        del settings[name]
    source = Source(**{name: settings.pop(name) for name in Source.__dataclass_fields__})
    job = Job(source=source, widths=Widths.take(settings), **settings)
    if limits and dry_run:
        raise ConfigError("--dry-run looks at one limit; leave --sweep out")
    with narration(quiet=as_json) as narrator:
        if limits:
            facts = run_sweep(job, read_limits(limits, constraint), narrator)
        else:
            facts = rehearse(job, narrator) if dry_run else run_job(job, narrator)
    if as_json:
        typer.echo(json.dumps(facts))
    elif limits:
        stdout().print(tabulate(facts))
        stdout().print(f"Saved in {facts['out']}, a folder for each limit, after {facts['seconds']:.0f} s.")
    elif dry_run:
        typer.echo(plain(show_rehearsal(facts)))
    else:
        show_result(stdout(), facts, (_evaluation(job),))


def _evaluation(job: Job) -> list[str]:
    """The command that judges the result again."""
    source = job.source
    command = ["gnnrl", "evaluate", str(job.out), "--model", source.model, "--data", job.data]
    for option, value in (("--input-shape", source.input_shape), ("--mean", source.mean), ("--std", source.std)):
        command += [option, value] if value else []
    return command
