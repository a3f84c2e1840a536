"""`gnnrl finetune`: train a saved result further."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gnnrl.cli import torchrun
from gnnrl.cli.command import command, torch_loaded
from gnnrl.cli.console import Narrator
from gnnrl.cli.inputs import check_named
from gnnrl.cli.options import option
from gnnrl.cli.run_settings import running_job, written
from gnnrl.cli.runs import Found, run_path
from gnnrl.cli.saved import Given, ResultArgument, complete
from gnnrl.cli.training import Tuned, Tuning
from gnnrl.storage.layout import check_place


@command()
def finetune(
    narrator: Narrator,
    result: ResultArgument,
    given: Given,
    job: Tuning,
    out: Annotated[
        Path | None, option("Where the result goes. Default: DIR-finetuned.", "--out", metavar="DIR")
    ] = None,
) -> Tuned:
    """Train a saved result further. If interrupted, `gnnrl resume` resumes after the last epoch.

    The dense network's weights are only needed for --distill.

    gnnrl finetune small --epochs 20

    On several devices: torchrun --nproc-per-node 4 -m gnnrl finetune small ... --device cuda
    """
    asked = job.source
    out = out or result.with_name(f"{result.name}-finetuned")
    if not torchrun.helps():
        check_place(out)
    narrator.begin("reading the result")
    known, place = complete(result, given, with_data=True, device=job.device)
    source = replace(known, weights=asked.weights, pretrained=asked.pretrained)
    return tune_on(replace(job, source=source, data=place, out=out), narrator)


def tune_on(job: Tuning, narrator: Narrator, found: Found | None = None) -> Tuned:
    """Fine-tune in a run that survives interruptions, a new one or a found one; a process that helps another exits."""
    check_named(job.source, job.data, job.device)
    with torch_loaded(narrator, job.threads):
        from gnnrl.cli.tuning import check_tuning, help_tuning, tune_result

        torchrun.take_place(job.device)
        if torchrun.helps():
            raise typer.Exit(help_tuning(job))
        found = found or _restarted(job)
        if found is None:
            check_tuning(job)
        with running_job(job, narrator, found) as session:
            return tune_result(job, narrator, session)


def _restarted(job: Tuning) -> Found | None:
    """Return the run of the same job, if torchrun restarted the command."""
    from gnnrl.runs.directory import read_settings

    if not (torchrun.is_restarted() and run_path(job.out).exists()):
        return None
    settings = read_settings(run_path(job.out))
    is_same = settings.get("options") == json.loads(json.dumps(written(job)["options"], default=str))
    return Found(job.out, settings, is_finished=False) if is_same else None
