"""The options that commands share: one name, one help text, one default for each."""

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from gnnrl.cli.completion import complete_data, complete_model, each_of
from gnnrl.cli.help import START
from gnnrl.errors import question

Importance = Literal["curves", "l1", "l2", "bn_scale", "taylor", "random"]
Repair = Literal["ls", "bn", "none"]
Metric = Literal["top1", "loss", "kl"]
Executor = Literal["serial", "process", "ray"]
Precision = Literal["float32", "bfloat16", "auto"]

SEARCHERS = (
    "ppo",
    "ddpg",
    "amc",
    "cma",
    "tpe",
    "evolution",
    "annealing",
    "greedy",
    "random",
    "random-prior",
    "uniform",
    "ranked",
    "curves",
)
"""Names of `gnnrl.searchers.table`, which takes seconds to import; a test keeps them equal."""

_MODEL = "digits-resnet, cifar-resnet20, torchvision:resnet18, timm:NAME, package.module:factory or file.py:factory."
_SEARCH, _WIDTHS, _INPUT, TUNE = "Search", "Widths", "Network and images", "Fine-tuning"
PANELS = (START, _INPUT, _SEARCH, _WIDTHS, TUNE)
"""Panels of the help, in their order."""

ModelArgument = Annotated[
    str,
    typer.Argument(metavar="MODEL", help=f"The network: {_MODEL}", show_default=False, autocompletion=complete_model),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        rich_help_panel=START,
        help=f"The network: {_MODEL}",
        show_default=False,
        autocompletion=complete_model,
    ),
]
SavedModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        rich_help_panel=START,
        help="Default: the network that DIR names. Code: name it again.",
        autocompletion=complete_model,
    ),
]
SavedDataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PATH",
        rich_help_panel=START,
        help="Default: the images that DIR names. Code: name it again.",
        autocompletion=complete_data,
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=START, help="Its trained weights: .safetensors, or a state dict in .pt or .pth."
    ),
]
PretrainedOption = Annotated[
    bool,
    typer.Option(
        "--pretrained",
        rich_help_panel=_INPUT,
        help="Take the weights that its authors publish (torchvision, timm; digits-resnet's are shipped).",
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        autocompletion=complete_data,
        metavar="PATH",
        rich_help_panel=START,
        help="Labelled images: a folder or archive (tar, zip) of class folders, or of such a train and test; digits; "
        "torchvision:CIFAR10; package.module:factory or file.py:factory, which returns datasets (train, test).",
        show_default=False,
    ),
]
InputShapeOption = Annotated[
    str | None,
    typer.Option(
        metavar="1,3,32,32",
        rich_help_panel=_INPUT,
        help="Shape of one input, batch first; needed for networks of your own.",
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option(
        metavar="0.5,0.5,0.5",
        rich_help_panel=_INPUT,
        help="Mean of the channels of the images, in 0..1. Default: the network's own, else ImageNet's.",
    ),
]
StdOption = Annotated[
    str | None, typer.Option(metavar="0.5,0.5,0.5", rich_help_panel=_INPUT, help="Standard deviation likewise.")
]
ConstraintOption = Annotated[
    str,
    typer.Option(
        metavar="LIMIT",
        rich_help_panel=START,
        help="On macs, params, bytes, activations (their peak) or latency: a share (latency<=60%) or an amount "
        "(params<=1.5M, latency<=5ms); several joined by commas. In quotes, or the shell redirects.",
    ),
]


SweepOption = Annotated[
    str | None,
    typer.Option(
        metavar="30%,50%,70%",
        help="Several limits in one go, of the metric of --constraint: a folder for each in --out, and the "
        "accuracy-size curve in its report.html.",
    ),
]


def suggestion(name: str, known: Sequence[str]) -> str:
    """A question for the name that was meant, with a semicolon before it; nothing where none is near."""
    hint = question(name, known)
    return hint and f"; {hint}"


def check_searcher(name: str) -> str:
    """Refuse a searcher that is neither gnnrl's, nor another package's, nor module:attribute.

    Raises:
        BadParameter: there is none of this name.
    """
    known = [*SEARCHERS, *(point.name for point in entry_points(group="gnnrl.searchers"))]
    if ":" not in name and name not in known:
        hint = suggestion(name, known)
        raise typer.BadParameter(
            f"there is no searcher {name!r}{hint or '.'} There are {', '.join(known)}, module:attribute."
        )
    return name


SearcherOption = Annotated[
    str,
    typer.Option(
        rich_help_panel=_SEARCH,
        callback=check_searcher,
        autocompletion=each_of(SEARCHERS),
        metavar="NAME",
        help="ppo: the graph policy. Others: ddpg, amc, cma, tpe, evolution, annealing, greedy, random, random-prior. "
        "One plan without a search: uniform, ranked, curves. Your own: file.py:function or package.module:function.",
    ),
]
EpisodesOption = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        max=1_000_000,
        rich_help_panel=_SEARCH,
        help="Plans that the search may judge on the reward images.",
    ),
]
ImportanceOption = Annotated[
    Importance,
    typer.Option(
        metavar="|".join(get_args(Importance)), rich_help_panel=_SEARCH, help="Which channels of a layer go first."
    ),
]
RepairOption = Annotated[
    Repair,
    typer.Option(
        metavar="|".join(get_args(Repair)),
        rich_help_panel=_SEARCH,
        help="What mends a pruned network before it is judged: least squares and batch normalisation, or that alone.",
    ),
]
MetricOption = Annotated[
    Metric,
    typer.Option(
        metavar="|".join(get_args(Metric)),
        rich_help_panel=_SEARCH,
        help="The reward. loss: of the labels; kl: how near outputs stay to the dense network's, which tells close "
        "plans apart best.",
    ),
]
RewardImagesOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, rich_help_panel=_SEARCH, help="Judge on so many reward images; kl ranks well on 1,000."
    ),
]
CalibrationOption = Annotated[
    int,
    typer.Option(
        metavar="N", min=2, rich_help_panel=_SEARCH, help="Training images that importance and repair look at."
    ),
]
MinWidthOption = Annotated[
    int, typer.Option(metavar="N", min=1, rich_help_panel=_WIDTHS, help="Channels that every layer keeps at least.")
]
RoundToOption = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        rich_help_panel=_WIDTHS,
        help="Widths are multiples of this; auto: of 16 from 128 channels on, of 8 from 64 on, else of 1.",
    ),
]
KeepOption = Annotated[
    tuple[str, ...],
    typer.Option(
        metavar="PATTERN",
        rich_help_panel=_WIDTHS,
        help="Layers to leave whole, e.g. layer4, features.3 or '*.mlp.*'. May be repeated.",
    ),
]
BoundsOption = Annotated[
    tuple[str, ...],
    typer.Option(
        metavar="PATTERN=LOW:HIGH",
        rich_help_panel=_WIDTHS,
        help="Least and greatest width, as shares ('layer4.*=0.3:0.8') or channels ('layer4=16:64'). May be repeated.",
    ),
]
OnlyOption = Annotated[
    tuple[str, ...],
    typer.Option(
        metavar="KIND",
        rich_help_panel=_WIDTHS,
        help="Shrink only heads (of attention), hidden (of feed-forward blocks), stream (residual) or channels (all "
        "others). May be repeated.",
    ),
]
ExecutorOption = Annotated[
    Executor,
    typer.Option(
        metavar="|".join(get_args(Executor)),
        rich_help_panel=_SEARCH,
        help="Where plans are judged: here, in --workers processes, or on a Ray cluster; the plan found is the same.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, rich_help_panel=_SEARCH, help="Plans judged at once. Default: one a processor."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto", rich_help_panel=_SEARCH, help="A running Ray cluster; by default this machine is one."
    ),
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        metavar="|".join(get_args(Precision)),
        help="Of rewards and fine-tuning; bfloat16 is often twice as fast, auto where there is it.",
    ),
]
SeedOption = Annotated[int, typer.Option(metavar="N", min=0, max=2**63 - 1, help="Same seed, same plan.")]
DeviceOption = Annotated[str, typer.Option(metavar="DEVICE", help="Where to compute: cpu, cuda, cuda:1.")]
ThreadsOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Processor threads. Default: PyTorch's; 1 on a busy machine.")
]
OutOption = Annotated[
    Path,
    typer.Option(
        "--out", metavar="DIR", rich_help_panel=START, help="Where the result goes; must be empty or not exist."
    ),
]
UntrainedOption = Annotated[bool, typer.Option("--untrained", help="Prune a network without trained weights.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the result that is in --out.")]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Do all but search and training: tell what can shrink, how good it is without search, and the time.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")]
