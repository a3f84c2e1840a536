"""`gnnrl prune`: a network and data of the user's own."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import typer

from gnnrl.cli import options
from gnnrl.cli.config_file import ConfigOption, PrintConfigOption, show_settings
from gnnrl.cli.console import Narrator, Stopwatch, narration, plain, stdout
from gnnrl.cli.dry_run import rehearse, show_rehearsal
from gnnrl.cli.fields import takes_fields
from gnnrl.cli.jobs import Job, Sweep, check_settings, check_written
from gnnrl.cli.results import next_commands, run_job
from gnnrl.cli.run_settings import naming, written
from gnnrl.cli.runs import running
from gnnrl.cli.startup import import_engine, limited_threads
from gnnrl.cli.sweeps import read_limits, run_sweep, show_sweep
from gnnrl.cli.tables import show_result
from gnnrl.errors import ConfigError
from gnnrl.storage.layout import check_target


@takes_fields()
def prune(
    context: typer.Context,
    job: Job,
    sweep: options.SweepOption = None,
    dry_run: options.DryRunOption = False,
    as_json: options.JsonOption = False,
    config: ConfigOption = None,
    print_config: PrintConfigOption = False,
) -> None:
    r"""Shrink a network of yours to a size limit: search, prune, repair, fine-tune, verify, save.

    gnnrl prune --model digits-resnet --pretrained --data digits --dry-run
    gnnrl prune --model torchvision:resnet18 --pretrained --data photos
    gnnrl prune --model net.py:Net --input-shape 1,3,64,64 --weights net.pt \
        --data photos --constraint "latency<=60%" --searcher curves
    """
    if print_config:
        typer.echo(show_settings(context))
        return
    if sweep and dry_run:
        raise ConfigError("--dry-run looks at one limit; leave --sweep out")
    with narration(quiet=as_json) as narrator:
        if sweep:
            shared = {each.name: getattr(job, each.name) for each in fields(job)}
            facts = run_sweep(Sweep(**shared, limits=read_limits(sweep, job.constraint)), narrator)
        else:
            facts = rehearse(job, narrator) if dry_run else work_on(job, narrator)
    if as_json:
        typer.echo(json.dumps(facts))
    elif sweep:
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
