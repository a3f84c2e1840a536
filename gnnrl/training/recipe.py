"""The settings of a fine-tuning, checked all at once."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from gnnrl.errors import ConfigError
from gnnrl.scoring.measures import Precision
from gnnrl.zoo.batches import Augmentation

Schedule = Literal["one-cycle", "cosine", "constant"]

WARM_UP = 0.3
WARM_UP_FROM = 1 / 25


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a fine-tuning.

    Attributes:
        epochs: number of passes over the data, at least 1.
        learning_rate: the highest learning rate of the schedule.
        batch_size: samples of a batch in all processes together; ignored if the data are batches already.
        label_smoothing: share of every label that is given to all classes.
        schedule: "one-cycle" climbs for 30 % of the steps and falls to zero along a cosine, "cosine" only falls.
        augment: "crop" shifts images by up to an eighth of their size, "flip-crop" also mirrors half of them.
        distill: weight of the teacher's outputs against the labels, in [0, 1]; see `training_loss`.
        temperature: temperature of the distillation.
        ema: decay of an average of the weights, such as 0.999, which the network gets at the end; 0 for no average.
        patience: number of epochs without improvement on held-out samples after which training stops; 0 never stops
            early.
        precision: "bfloat16" computes layers with half the bits if that is safe; weights keep their type.
    """

    epochs: int
    learning_rate: float = 0.03
    batch_size: int = 128
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    schedule: Schedule = "one-cycle"
    augment: Augmentation = "none"
    distill: float = 0.0
    temperature: float = 4.0
    ema: float = 0.0
    patience: int = 0
    seed: int = 0
    device: str = "cpu"
    precision: Precision = "float32"

    def check(self, model: nn.Module, *, has_teacher: bool, is_watched: bool) -> None:
        """Refuse settings that are out of their range, or contradict each other; the message names all of them."""
        wrong = [
            f"{name} must be {rule}, not {getattr(self, name)}"
            for name, rule, holds in (
                ("epochs", "at least 1", self.epochs >= 1),
                ("learning_rate", "above 0", 0 < self.learning_rate < math.inf),
                ("batch_size", "at least 2", self.batch_size >= 2),
                ("weight_decay", "0 or more", 0 <= self.weight_decay < math.inf),
                ("label_smoothing", "in [0, 1)", 0 <= self.label_smoothing < 1),
                ("schedule", "one-cycle, cosine or constant", self.schedule in get_args(Schedule)),
                ("precision", "float32 or bfloat16", self.precision in get_args(Precision)),
                ("augment", "none, crop or flip-crop", self.augment in get_args(Augmentation)),
                ("distill", "in [0, 1]", 0 <= self.distill <= 1),
                ("temperature", "above 0", 0 < self.temperature < math.inf),
                ("ema", "in [0, 1)", 0 <= self.ema < 1),
                ("patience", "0 (never stop early) or more", self.patience >= 0),
            )
            if not holds
        ]
        if self.distill and not has_teacher:
            wrong.append("distill needs a teacher: give the dense network")
        if self.patience and not is_watched:
            wrong.append("patience needs samples to watch: give held_out, never the test images")
        if not any(parameter.requires_grad for parameter in model.parameters()):
            wrong.append("no parameter of the network can be trained; call model.requires_grad_(True)")
        if wrong:
            raise ConfigError("fine-tuning: " + "; ".join(wrong) + ".")


def rate_at(progress: float, peak: float, schedule: Schedule) -> float:
    """Return the learning rate after a share of the steps (one-cycle: Smith & Topin 2017, arXiv:1708.07120)."""
    if schedule == "constant":
        return peak
    if schedule == "one-cycle":
        if progress < WARM_UP:
            return peak * (WARM_UP_FROM + (1 - WARM_UP_FROM) * progress / WARM_UP)
        progress = (progress - WARM_UP) / (1 - WARM_UP)
    return peak * (1 + math.cos(math.pi * progress)) / 2
