"""`gnnrl prune`: a network and data of the user's own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from gnnrl.cli import options
from gnnrl.cli import training_options as tuning_options
from gnnrl.cli.config_file import ConfigOption, PrintConfigOption, show_settings
from gnnrl.cli.console import Narrator, Stopwatch, narration, plain, stdout
from gnnrl.cli.dry_run import rehearse, show_rehearsal
from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job, Sweep, check_settings, check_written
from gnnrl.cli.results import next_commands, run_job
from gnnrl.cli.run_settings import naming, written
from gnnrl.cli.runs import running
from gnnrl.cli.startup import import_engine, limited_threads
from gnnrl.cli.sweeps import read_limits, run_sweep, show_sweep
from gnnrl.cli.tables import show_result
from gnnrl.cli.width_rules import Widths
from gnnrl.errors import ConfigError
from gnnrl.storage.layout import check_target


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
    finetune_epochs: tuning_options.FinetuneOption = 3,
    learning_rate: tuning_options.LearningRateOption = 0.03,
    batch_size: tuning_options.BatchSizeOption = 128,
    augment: tuning_options.AugmentOption = "crop",
    label_smoothing: tuning_options.SmoothingOption = 0.0,
    distill: tuning_options.DistillOption = 0.0,
    temperature: tuning_options.TemperatureOption = 4.0,
    ema: tuning_options.EmaOption = 0.0,
    patience: tuning_options.PatienceOption = 0,
    input_shape: options.InputShapeOption = None,
    mean: options.MeanOption = None,
    std: options.StdOption = None,
    config: ConfigOption = None,
    print_config: PrintConfigOption = False,
) -> None:
    r"""Shrink a network of yours to a size limit: search, prune, repair, fine-tune, verify, save.

    gnnrl prune --model digits-resnet --pretrained --data digits --dry-run
    gnnrl prune --model torchvision:resnet18 --pretrained --data photos
    gnnrl prune --model net.py:Net --input-shape 1,3,64,64 --weights net.pt \
        --data photos --constraint "latency<=60%" --searcher curves
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
            shared = {name: getattr(job, name) for name in Job.__dataclass_fields__}
            facts = run_sweep(Sweep(**shared, limits=read_limits(limits, constraint)), narrator)
        else:
            facts = rehearse(job, narrator) if dry_run else work_on(job, narrator)
    if as_json:
        typer.echo(json.dumps(facts))
    elif limits:
        show_sweep(facts)
    elif dry_run:
        typer.echo(plain(show_rehearsal(facts)))
    else:
        show_pruned(facts, job)


def work_on(
    job: Job, narrator: Narrator, settings: Mapping[str, Any] | None = None, *, repair: bool = False
) -> dict[str, Any]:
    """Do a job in a run that survives interruptions, new or begun before; return all facts that `--json` prints.

    Args:
        settings: those of the run that was begun.
        repair: go on before the first damaged line of its journal.

    Raises:
        GnnrlError: see `gnnrl.errors`.
        Interrupted: the command was told to end; `gnnrl resume` goes on.
    """
    watch = Stopwatch()
    check_written(job)
    check_target(job.out, force=job.force)
    import_engine(narrator)
    with limited_threads(job.threads):
        if settings is None:
            check_settings(job)
        with running(
            job.out, settings or written(job), narrator, force=job.force, arguments=naming(job), repair=repair
        ) as session:
            facts = run_job(job, narrator, session)
    return {**facts, "seconds": round(watch.seconds(), 2)}


def show_pruned(facts: Mapping[str, Any], job: Job) -> None:
    """Print the result, and what to do with it."""
    show_result(stdout(), facts, next_commands(job))
