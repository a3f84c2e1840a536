"""`gnnrl prune`: shrink the user's network."""

from dataclasses import dataclass
from time import perf_counter
from typing import Annotated

import typer

from gnnrl.cli.command import Outcome, command, torch_loaded
from gnnrl.cli.config_file import ConfigOption, PrintConfigOption, show_settings
from gnnrl.cli.console import Narrator
from gnnrl.cli.jobs import Job, Sweep, check_written, read_limits
from gnnrl.cli.options import option
from gnnrl.cli.runs import Found, run_path
from gnnrl.errors import ConfigError
from gnnrl.storage.layout import check_sweep, check_target


@dataclass(frozen=True, slots=True)
class Settings(Outcome):
    """All settings of a command, as text in TOML."""

    settings: str

    def show(self) -> None:
        """Print the text."""
        typer.echo(self.settings)


@command()
def prune(
    context: typer.Context,
    narrator: Narrator,
    job: Job,
    sweep: Annotated[
        str | None,
        option(
            "Several limits on the metric of --constraint, with a folder for each in --out, and a report of all.",
            metavar="30%,50%,70%",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        option("Do all but search and fine-tuning: report what can shrink, a score, and the time.", "--dry-run"),
    ] = False,
    config: ConfigOption = None,
    print_config: PrintConfigOption = False,
) -> Outcome:
    r"""Shrink your network to a size limit: search, prune, repair, fine-tune, verify, save.

    gnnrl prune --model digits-resnet --pretrained --data digits --dry-run
    gnnrl prune --model torchvision:resnet18 --pretrained --data photos
    gnnrl prune --model net.py:Net --input-shape 1,3,64,64 --weights net.pt \
        --data photos --constraint "latency<=60%" --searcher curves
    """
    if print_config:
        return Settings(show_settings(context))
    if sweep and dry_run:
        raise ConfigError("--dry-run checks one limit; leave --sweep out")
    if sweep:
        job = Sweep.of(job, read_limits(sweep, job.constraint))
    return work_on(job, narrator, dry_run=dry_run)


def work_on(job: Job, narrator: Narrator, found: Found | None = None, *, dry_run: bool = False) -> Outcome:
    """Check a job before PyTorch is loaded, then do it; see `run_job`, `run_sweep` and `rehearse`."""
    start = perf_counter()
    for each in job.jobs():
        check_written(each)
    if not isinstance(job, Sweep):
        check_target(job.out, force=job.force)
    elif found is None and (job.force or not run_path(job.out).exists()):
        check_sweep(job.out, [each.out for each in job.jobs()], force=job.force)
    with torch_loaded(narrator, job.threads):
        from gnnrl.cli.dry_run import rehearse
        from gnnrl.cli.results import run_job
        from gnnrl.cli.sweeps import run_sweep

        if dry_run:
            return rehearse(job, narrator, start)
        if isinstance(job, Sweep):
            return run_sweep(job, narrator, start, found)
        return run_job(job, narrator, start, found)
