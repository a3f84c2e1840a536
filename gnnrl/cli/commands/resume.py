"""`gnnrl resume`: a run that was interrupted goes on, and ends as if it had never stopped."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from gnnrl.cli import options
from gnnrl.cli import torchrun as company
from gnnrl.cli.commands.finetune import show_tuned, tune_on
from gnnrl.cli.commands.prune import show_pruned, work_on
from gnnrl.cli.console import narration, say
from gnnrl.cli.jobs import Job, Sweep
from gnnrl.cli.run_settings import read_job
from gnnrl.cli.runs import Found, can_extend, extend, find_run, refuse_part, run_path, tidy
from gnnrl.cli.sweeps import run_sweep, show_sweep
from gnnrl.cli.training import Tuning
from gnnrl.errors import ConfigError
from gnnrl.storage.layout import SWEEP


def resume(
    result: Annotated[
        Path, typer.Argument(metavar="DIR", help="The --out of the command that was interrupted.", show_default=False)
    ],
    more: Annotated[
        int, typer.Option("--extend", min=0, metavar="N", help="Judge so many more plans, also after the end.")
    ] = 0,
    repair: Annotated[
        bool, typer.Option("--repair", help="Go on before the first damaged line of the journal.")
    ] = False,
    as_json: options.JsonOption = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The network again, where it is code of yours: a run is never trusted to name code."
        ),
    ] = None,
    searcher: Annotated[str | None, typer.Option(metavar="NAME", help="The searcher likewise.")] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="The weights, where they were moved.")] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="The images, where they were moved.")] = None,
    executor: options.ExecutorOption = "serial",
    workers: options.WorkersOption = None,
    address: options.AddressOption = None,
) -> None:
    """Go on with a run that was interrupted: Ctrl-C, a crash, a full disk. The result is that of the unbroken run.

    A sweep goes on as a whole: finished limits are kept.

    gnnrl resume small
    """
    if (result / SWEEP).is_file() and not run_path(result).exists():
        _tell_swept(result, more, as_json=as_json)
        return
    found = find_run(result)
    if more or not found.is_finished:
        refuse_part(found)
    if found.is_finished and company.helps():
        return
    if found.is_finished:
        tidy(found)
        if not more:
            _tell_finished(found, as_json=as_json)
            return
        found = extend(found, more)
    elif more:
        raise ConfigError(f"the run of {found.out} has not ended yet; go on with it first, then give --extend")
    given = {"model": model, "searcher": searcher, "weights": weights, "data": data}
    job = read_job(found, {**given, "executor": executor, "workers": workers, "address": address})
    _go_on(job, found, repair=repair, as_json=as_json)


def _go_on(job: Job | Tuning, found: Found, *, repair: bool, as_json: bool) -> None:
    """Do what is left of a job, and show what came of it."""
    with narration(quiet=as_json) as narrator:
        if isinstance(job, Tuning):
            facts = tune_on(job, narrator, found.settings, repair=repair)
        else:
            company.refuse("a search")
            if isinstance(job, Sweep):
                facts = run_sweep(job, narrator, found.settings, repair=repair)
            else:
                facts = work_on(job, narrator, found.settings, repair=repair)
    if isinstance(job, Tuning):
        show_tuned(facts, as_json=as_json)
    elif as_json:
        typer.echo(json.dumps(facts))
    elif isinstance(job, Sweep):
        show_sweep(facts)
    else:
        show_pruned(facts, job)


def _tell_swept(out: Path, more: int, *, as_json: bool) -> None:
    if more:
        raise ConfigError(f"{out} is a sweep; extend the results in it one by one, as gnnrl resume {out}/macs-50")
    told = f"{out} is finished, there is nothing to go on with."
    typer.echo(json.dumps({"finished": True, "out": str(out)}) if as_json else told)


def _tell_finished(found: Found, *, as_json: bool) -> None:
    from gnnrl.artifacts.bundle import read_manifest

    facts = read_manifest(found.out)
    if as_json:
        told = {"finished": True, "out": str(found.out)}
        typer.echo(json.dumps(told | {name: facts[name] for name in ("score", "evaluations") if name in facts}))
    else:
        command = shlex.join(["gnnrl", "resume", str(found.out), "--extend", "50"])
        more = f"\nMore: {command}" if can_extend(found) else ""
        say(f"{found.out} is finished, there is nothing to go on with.{more}")
