"""`gnnrl finetune`: a saved result is trained further."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from gnnrl.cli import options, torchrun
from gnnrl.cli.console import Narrator, narration, say
from gnnrl.cli.fields import takes_fields
from gnnrl.cli.inputs import check_named
from gnnrl.cli.run_settings import naming, written
from gnnrl.cli.runs import run_path, running
from gnnrl.cli.saved import Given, ResultArgument, complete
from gnnrl.cli.startup import import_engine, limited_threads
from gnnrl.cli.training import Tuning, check_tuning, help_tuning, tune_result
from gnnrl.report.names import is_worse, plural
from gnnrl.storage.layout import check_place


@takes_fields()
def finetune(
    result: ResultArgument,
    job: Tuning,
    model: options.SavedModelOption = None,
    data: options.SavedDataOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where the result goes. Default: DIR-finetuned."),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Train a saved result further; interrupted, `gnnrl resume` goes on after the last epoch.

    The dense network's weights are needed only to learn from it (--distill).

    gnnrl finetune small --epochs 20

    On several devices: torchrun --nproc-per-node 4 -m gnnrl finetune small ... --device cuda
    """
    source = job.source
    out = out or result.with_name(f"{result.name}-finetuned")
    if not torchrun.helps():
        check_place(out)
    given = Given(model=model, data=data, input_shape=source.input_shape, mean=source.mean, std=source.std)
    with narration(quiet=as_json) as narrator:
        narrator.begin("reading the result")
        known, place = complete(result, given, with_data=True)
        source = replace(known, weights=source.weights, pretrained=source.pretrained)
        job = replace(job, source=source, data=place, out=out)
        facts = tune_on(job, narrator)
    show_tuned(facts, as_json=as_json)


def tune_on(
    job: Tuning, narrator: Narrator, settings: dict[str, Any] | None = None, *, repair: bool = False
) -> dict[str, Any]:
    """Fine-tune in a run that survives interruptions, new or begun before; return what `--json` prints.

    Args:
        settings: those of the run that was begun.
        repair: see `RunDirectory`.

    Raises:
        typer.Exit: this process has helped another one, which tells.
    """
    check_named(job.source, job.data, job.device)
    import_engine(narrator)
    torchrun.take_place(job.device)
    with limited_threads(job.threads):
        if torchrun.helps():
            raise typer.Exit(help_tuning(job))
        settings = settings or _begun_before(job)
        if settings is None:
            check_tuning(job)
        with running(
            job.out, settings or written(job), narrator, force=job.force, arguments=naming(job), repair=repair
        ) as session:
            return tune_result(job, narrator, session)


def _begun_before(job: Tuning) -> dict[str, Any] | None:
    """The settings of the same run, where torchrun begins the command again; None elsewhere."""
    if not (torchrun.is_restarted() and run_path(job.out).exists()):
        return None
    from gnnrl.runs.directory import read_settings

    settings = read_settings(run_path(job.out))
    same = settings.get("options") == json.loads(json.dumps(written(job)["options"], default=str))
    return settings if same else None


def show_tuned(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print what came of it."""
    if as_json:
        typer.echo(json.dumps(facts))
        return
    score, images = facts["score"], facts["test_images"]
    worse = is_worse(score["before"], score["finetuned"], images)
    say(
        f"{facts['out']}: top-1 {score['finetuned']:.2%} on {images:,} test images, "
        f"{score['before']:.2%} before {plural(facts['epochs'], 'epoch')}"
        + worse
        * "; it is worse: keep the one of before, or take a smaller --learning-rate"
    )
