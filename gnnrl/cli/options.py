"""Options of the command line: how one is declared, and those that several commands share.

A field of a job's dataclass is its option as well (`gnnrl.cli.fields`), so name, type, default and help stand together.
"""

from functools import partial
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer

from gnnrl.cli.completion import complete_data
from gnnrl.errors import choices

SEARCHES = ("ppo", "ddpg", "amc", "cma", "tpe", "evolution", "annealing", "greedy", "random", "random-prior")
CLOSED_FORMS = ("uniform", "ranked", "curves")
SEARCHERS = (*SEARCHES, *CLOSED_FORMS)
"""Names of `gnnrl.searchers.table`, which takes seconds to import; a test keeps them equal."""

PANELS = ("Start here", "Network and images", "Search", "Widths", "Fine-tuning")
"""Panels of the help, in their order."""
MODEL = (
    "The network: digits-resnet, cifar-resnet20, torchvision:resnet18, timm:NAME, package.module:factory or "
    "file.py:factory."
)


def option(text: str, *names: str, **settings: Any) -> Any:
    """Declare an option with its help; without names it is called as its parameter.

    Args:
        settings: those of `typer.Option`, such as `min` and `metavar`. By default a number is shown as N or X, and a
            choice by its names.
    """
    return typer.Option(*names, help=text, **settings)


start, feeding, search, widths, tuning = (partial(option, rich_help_panel=panel) for panel in PANELS)

DataOption = Annotated[
    str,
    start(
        "Labelled images: a folder or archive (tar, zip) of class folders, or a train and a test of them; digits; "
        "torchvision:CIFAR10; package.module:factory or file.py:factory, which returns datasets (train, test).",
        metavar="PATH",
        show_default=False,
        autocompletion=complete_data,
    ),
]
SeedOption = Annotated[int, option("The same seed gives the same plan.", min=0, max=2**63 - 1)]
DeviceOption = Annotated[str, option("Where to compute: cpu, cuda, cuda:1.", metavar="DEVICE")]
ThreadsOption = Annotated[int | None, option("Processor threads. Default: PyTorch's; 1 on a busy machine.", min=1)]
ForceOption = Annotated[bool, option("Replace the result in --out.", "--force")]


def check_searcher(name: str) -> str:
    """Refuse a searcher that is neither gnnrl's, nor another package's, nor module:attribute."""
    known = [*SEARCHERS, *(point.name for point in entry_points(group="gnnrl.searchers"))]
    if ":" not in name and name not in known:
        raise typer.BadParameter(f"there is no searcher {name!r}; {choices(name, known)}, module:attribute")
    return name
