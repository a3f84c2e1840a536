"""The options that commands share: one name, one help text, one default for each."""

from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Literal

import typer

Importance = Literal["curves", "l1", "l2", "bn_scale", "taylor", "random"]
Repair = Literal["ls", "bn", "none"]
Metric = Literal["top1", "loss", "kl"]
Augmentation = Literal["none", "crop", "flip-crop"]
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
_SEARCH, _WIDTHS, _TUNE, _INPUT = "Search", "Widths", "Fine-tuning", "Input"

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=f"The network: {_MODEL}", show_default=False)]
ModelOption = Annotated[
    str, typer.Option("--model", metavar="MODEL", help=f"The network: {_MODEL}", show_default=False)
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(help="Its trained weights: .safetensors, or a state dict in .pt or .pth.", metavar="FILE"),
]
PretrainedOption = Annotated[
    bool,
    typer.Option(
        "--pretrained", help="Take the weights that its authors publish (digits-resnet: shipped; torchvision, timm)."
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        help="Labelled images: a folder or archive (tar, zip) of class folders, a folder with train and test as "
        "folders or archives, 'digits', torchvision:CIFAR10, or package.module:factory or file.py:factory, which "
        "returns datasets (train, test).",
        metavar="PATH",
        show_default=False,
    ),
]
InputShapeOption = Annotated[
    str | None,
    typer.Option(
        metavar="1,3,32,32",
        rich_help_panel=_INPUT,
        help="Shape of one input, batch first. Needed for networks of your own; others know theirs.",
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option(
        metavar="0.5,0.5,0.5",
        rich_help_panel=_INPUT,
        help="Mean of each channel of the images, in 0..1. Default: the network's own, else ImageNet's.",
    ),
]
StdOption = Annotated[
    str | None, typer.Option(metavar="0.5,0.5,0.5", rich_help_panel=_INPUT, help="Standard deviation likewise.")
]
ConstraintOption = Annotated[
    str,
    typer.Option(
        help="The limit: a share (macs<=50%, latency<=60%) or a number (params<=1.5M, bytes<=400k, activations<=2M, "
        "latency<=5ms); several joined by commas. Quote it: the shell reads < as a redirection."
    ),
]


SweepOption = Annotated[
    str | None,
    typer.Option(
        metavar="30%,50%,70%",
        help="Several limits in one go: amounts of the metric of --constraint, or limits (macs<=50%). Network and data "
        "are looked at once; each limit has a search and a folder in --out, beside sweep.json and sweep.svg.",
    ),
]


def suggestion(name: str, known: Sequence[str]) -> str:
    """A question for the name that was meant, with a semicolon before it; nothing where none is near."""
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def check_searcher(name: str) -> str:
    """Refuse a searcher that is neither gnnrl's, nor another package's, nor module:attribute.

    Raises:
        BadParameter: there is none of this name.
    """
    known = [*SEARCHERS, *(point.name for point in entry_points(group="gnnrl.searchers"))]
    if ":" not in name and name not in known:
        hint = suggestion(name, known)
        raise typer.BadParameter(f"there is no searcher {name!r}{hint} There are {', '.join(known)}, module:attribute.")
    return name


SearcherOption = Annotated[
    str,
    typer.Option(
        rich_help_panel=_SEARCH,
        callback=check_searcher,
        metavar="NAME",
        help="ppo: the graph policy, from the closed-form plan on; ddpg, amc, cma, tpe, evolution, annealing, greedy, "
        "random, random-prior: other searches; uniform, ranked, curves: one plan without a search; your own: "
        "package.module:function or file.py:function.",
    ),
]
EpisodesOption = Annotated[
    int, typer.Option(min=1, rich_help_panel=_SEARCH, help="Plans that the search may judge on the reward images.")
]
ImportanceOption = Annotated[
    Importance, typer.Option(rich_help_panel=_SEARCH, help="Which channels of a layer go first.")
]
RepairOption = Annotated[
    Repair,
    typer.Option(
        rich_help_panel=_SEARCH,
        help="What mends a pruned network before it is judged. ls: least squares and batch normalisation.",
    ),
]
MetricOption = Annotated[
    Metric,
    typer.Option(
        rich_help_panel=_SEARCH,
        help="The reward. top1; loss: of the labels; kl: how near outputs stay to the dense network's, which tells "
        "close plans apart best and needs no labels.",
    ),
]
RewardImagesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel=_SEARCH,
        help="Judge plans on so many of the reward images. Default: all; kl ranks well on 1,000.",
    ),
]
CalibrationOption = Annotated[
    int,
    typer.Option(min=2, rich_help_panel=_SEARCH, help="Training images that importance and repair look at."),
]
MinWidthOption = Annotated[
    int, typer.Option(min=1, rich_help_panel=_WIDTHS, help="Channels that every layer keeps at least.")
]
RoundToOption = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        rich_help_panel=_WIDTHS,
        help="Widths are multiples of this; auto: of 16 in groups of 128 channels or more, of 8 from 64 on, else of 1.",
    ),
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        rich_help_panel=_WIDTHS,
        help="Layers to leave whole, e.g. layer4, features.3 or '*.mlp.*'. May be repeated.",
    ),
]
BoundsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN=LOW:HIGH",
        rich_help_panel=_WIDTHS,
        help="Least and greatest width of layers, as shares ('layer4.*=0.3:0.8') or channels ('layer4=16:64'). May be "
        "repeated.",
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="heads|hidden|stream|channels",
        rich_help_panel=_WIDTHS,
        help="Kinds of groups that may shrink, the others stay whole: attention heads, hidden layers of "
        "feed-forward blocks, residual streams, other channels. May be repeated.",
    ),
]
FinetuneOption = Annotated[
    int,
    typer.Option("--finetune-epochs", min=0, rich_help_panel=_TUNE, help="Passes over the training images; 0: none."),
]
EpochsOption = Annotated[
    int, typer.Option("--epochs", min=1, rich_help_panel=_TUNE, help="Passes over the training images.")
]
LearningRateOption = Annotated[
    float,
    typer.Option(min=1e-8, max=100, rich_help_panel=_TUNE, help="The highest of a one-cycle schedule (SGD)."),
]
BatchSizeOption = Annotated[int, typer.Option(min=2, rich_help_panel=_TUNE, help="Training images in a step.")]
SmoothingOption = Annotated[
    float, typer.Option(min=0, max=0.99, rich_help_panel=_TUNE, help="Share of every label given to all classes.")
]
DistillOption = Annotated[
    float,
    typer.Option(
        min=0, max=1, rich_help_panel=_TUNE, help="Weight of what the dense network says, against the labels; 0: none."
    ),
]
TemperatureOption = Annotated[
    float, typer.Option(min=0.1, max=100, rich_help_panel=_TUNE, help="Softness of what the dense network says.")
]
EmaOption = Annotated[
    float,
    typer.Option(
        min=0, max=0.99999, rich_help_panel=_TUNE, help="Decay of an average of the weights, such as 0.999; 0: none."
    ),
]
PatienceOption = Annotated[
    int,
    typer.Option(
        min=0,
        rich_help_panel=_TUNE,
        help="Stop after so many epochs that are no better on the reward images, and keep the best; 0: never.",
    ),
]
AugmentOption = Annotated[
    Augmentation,
    typer.Option(
        rich_help_panel=_TUNE,
        help="Shift images at random (crop), and mirror them, where a mirror image means the same.",
    ),
]
ExecutorOption = Annotated[
    Executor,
    typer.Option(
        rich_help_panel=_SEARCH,
        help="Where plans are judged: here one by one; in --workers processes; on a Ray cluster (gnnrl-compress[ray]). "
        "The plan that is found does not depend on it.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, rich_help_panel=_SEARCH, help="Plans judged at once, each on one thread. Default: processors."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto", rich_help_panel=_SEARCH, help="A running Ray cluster; by default this machine is one."
    ),
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(help="Of rewards and fine-tuning. bfloat16: often twice as fast. auto: where the machine has it."),
]
SeedOption = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Same seed, same plan.")]
DeviceOption = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1.")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Processor threads. Default: as many as PyTorch takes; 1 on a busy machine.")
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Where the result goes; must be empty or not exist.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the result that is in --out.")]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Only show groups, reachable sizes, what rules fix and the time it would take."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")]
