"""`gnnrl resume`: a run that was interrupted goes on, and ends as if it had never stopped."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gnnrl.cli import company, options
from gnnrl.cli.console import narration
from gnnrl.cli.finetuning import show_tuned, tune_on
from gnnrl.cli.pruning import show_pruned, work_on
from gnnrl.cli.record import read_job
from gnnrl.cli.running import Found, extend, find_run, tidy
from gnnrl.cli.tuning import Tuning
from gnnrl.errors import ConfigError


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

    gnnrl resume small
    """
    found = find_run(result)
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
    with narration(quiet=as_json) as narrator:
        given = {"model": model, "searcher": searcher, "weights": weights, "data": data}
        job = read_job(found, {**given, "executor": executor, "workers": workers, "address": address})
        if isinstance(job, Tuning):
            facts = tune_on(job, narrator, found.settings, repair=repair)
        else:
            company.refuse("a search")
            facts = work_on(job, narrator, found.settings, repair=repair)
    if isinstance(job, Tuning):
        show_tuned(facts, as_json=as_json)
    elif as_json:
        typer.echo(json.dumps(facts))
    else:
        show_pruned(facts, job)


def _tell_finished(found: Found, *, as_json: bool) -> None:
    from gnnrl.bundle import read_manifest

    facts = read_manifest(found.out)
    if as_json:
        told = {"finished": True, "out": str(found.out)}
        typer.echo(json.dumps(told | {name: facts[name] for name in ("score", "evaluations") if name in facts}))
    else:
        typer.echo(
            f"{found.out} is finished, there is nothing to go on with. More: gnnrl resume {found.out} --extend 50"
        )
