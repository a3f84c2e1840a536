"""The options of fine-tuning, of every command that does it."""

from typing import Annotated, Literal, get_args

import typer

from gnnrl.cli.options import TUNE

Augmentation = Literal["none", "crop", "flip-crop"]

FinetuneOption = Annotated[
    int,
    typer.Option(
        "--finetune-epochs", metavar="N", min=0, rich_help_panel=TUNE, help="Passes over the training images; 0: none."
    ),
]
EpochsOption = Annotated[
    int, typer.Option("--epochs", metavar="N", min=1, rich_help_panel=TUNE, help="Passes over the training images.")
]
LearningRateOption = Annotated[
    float,
    typer.Option(
        metavar="X", min=1e-8, max=100, rich_help_panel=TUNE, help="The highest of a one-cycle schedule (SGD)."
    ),
]
BatchSizeOption = Annotated[
    int, typer.Option(metavar="N", min=2, rich_help_panel=TUNE, help="Training images in a step.")
]
SmoothingOption = Annotated[
    float,
    typer.Option(metavar="X", min=0, max=0.99, rich_help_panel=TUNE, help="Share of every label given to all classes."),
]
DistillOption = Annotated[
    float,
    typer.Option(
        metavar="X",
        min=0,
        max=1,
        rich_help_panel=TUNE,
        help="Weight of the dense network's outputs, against the labels; 0: none.",
    ),
]
TemperatureOption = Annotated[
    float, typer.Option(metavar="X", min=0.1, max=100, rich_help_panel=TUNE, help="Softness of these outputs.")
]
EmaOption = Annotated[
    float,
    typer.Option(
        metavar="X",
        min=0,
        max=0.99999,
        rich_help_panel=TUNE,
        help="Decay of an average of the weights, such as 0.999; 0: none.",
    ),
]
PatienceOption = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        rich_help_panel=TUNE,
        help="Stop after so many epochs without gain on the reward images, and keep the best; 0: never.",
    ),
]
AugmentOption = Annotated[
    Augmentation,
    typer.Option(
        metavar="|".join(get_args(Augmentation)),
        rich_help_panel=TUNE,
        help="Shift images at random (crop), and mirror them (flip).",
    ),
]
