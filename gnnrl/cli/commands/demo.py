"""`gnnrl demo`: the whole way on the embedded digits, without a download or an argument."""

import json
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from gnnrl.cli.commands.prune import work_on
from gnnrl.cli.console import narration, stdout
from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job
from gnnrl.cli.options import ForceOption, JsonOption, SeedOption
from gnnrl.cli.runs import run_path
from gnnrl.cli.tables import show_result

DEFAULT_OUT = "gnnrl-demo"


def demonstrate(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help=f"Where the result goes. Default: {DEFAULT_OUT}, or {DEFAULT_OUT}-2 ..."
        ),
    ] = None,
    seed: SeedOption = 0,
    episodes: Annotated[int, typer.Option(min=1, metavar="N", help="Plans that the search may judge.")] = 100,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Halve a small residual network for handwritten digits: search, prune, repair, fine-tune, verify, save.

    Takes about a minute; needs no download. The search reads 297 reward images, the scores are of 500 others.
    """
    job = Job(
        source=Source(model="digits-resnet", pretrained=True),
        data="digits",
        constraint="macs<=50%",
        out=out or _free_folder(),
        force=force,
        episodes=episodes,
        metric="loss",  # on 297 images that are nearly all recognised, top-1 cannot tell plans apart
        finetune_epochs=20,
        learning_rate=0.02,
        batch_size=50,
        label_smoothing=0.1,
        seed=seed,
        threads=1,  # no slower on so small a network, and no stumbling block on a busy machine
    )
    with narration(quiet=as_json) as narrator:
        facts = work_on(job, narrator)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        commands = (
            ("gnnrl", "evaluate", str(job.out)),
            ("gnnrl", "inspect", "cifar-resnet20", "--constraint", "macs<=50%"),
            ("gnnrl", "prune", "--help"),
        )
        show_result(stdout(), facts, commands)


def _free_folder() -> Path:
    """Choose the first folder of the default name that is not taken."""
    names = (Path(DEFAULT_OUT if number == 1 else f"{DEFAULT_OUT}-{number}") for number in count(1))
    return next(path for path in names if not run_path(path).exists() and (not path.exists() or _is_empty(path)))


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
