"""`gnnrl demo`: the whole way on the embedded digits, without a download or an argument."""

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from gnnrl.cli.command import command
from gnnrl.cli.commands.prune import work_on
from gnnrl.cli.console import Narrator
from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job
from gnnrl.cli.options import ForceOption, SeedOption, option
from gnnrl.cli.runs import run_path

if TYPE_CHECKING:
    from gnnrl.cli.results import Pruned

DEFAULT_OUT = "gnnrl-demo"


@command()
def demo(
    narrator: Narrator,
    out: Annotated[
        Path | None,
        option(f"Where the result goes. Default: {DEFAULT_OUT}, or {DEFAULT_OUT}-2 ...", "--out", metavar="DIR"),
    ] = None,
    seed: SeedOption = 0,
    episodes: Annotated[int, option("Plans that the search may score.", min=1)] = 100,
    force: ForceOption = False,
) -> "Pruned":
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
        metric="loss",  # on 297 images that are nearly all recognised, top-1 cannot distinguish plans
        finetune_epochs=20,
        learning_rate=0.02,
        batch_size=50,
        label_smoothing=0.1,
        seed=seed,
        threads=1,  # no slower with this small network, and safe on a busy machine
    )
    pruned = cast("Pruned", work_on(job, narrator))
    commands = (
        ("gnnrl", "evaluate", str(job.out)),
        ("gnnrl", "inspect", "cifar-resnet20", "--constraint", "macs<=50%"),
        ("gnnrl", "prune", "--help"),
    )
    return replace(pruned, record=pruned.record.model_copy(update={"commands": commands}))


def _free_folder() -> Path:
    """Return the first folder of the default name that is free or empty."""
    names = (Path(DEFAULT_OUT if number == 1 else f"{DEFAULT_OUT}-{number}") for number in count(1))
    return next(
        path
        for path in names
        if not (run_path(path).exists() or path.is_file() or (path.is_dir() and any(path.iterdir())))
    )
