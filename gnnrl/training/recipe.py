"""The settings of a fine-tuning, checked all at once."""

import math
from dataclasses import dataclass
from typing import get_args

from torch import nn

from gnnrl.errors import ConfigError
from gnnrl.scoring.measures import Precision
from gnnrl.training.schedule import Schedule
from gnnrl.zoo.batches import Augmentation


@dataclass(frozen=True)
class Recipe:
    """The settings of a fine-tuning, which are arguments of `finetune`."""

    epochs: int
    learning_rate: float
    batch_size: int
    weight_decay: float
    label_smoothing: float
    schedule: Schedule
    augment: Augmentation
    distill: float
    temperature: float
    ema: float
    patience: int
    seed: int
    device: str
    precision: Precision

    def check(self, model: nn.Module, *, has_teacher: bool, is_watched: bool) -> None:
        """Refuse settings that are out of their range, or contradict each other.

        Args:
            has_teacher: whether a teacher is given.
            is_watched: whether held-out samples are given.

        Raises:
            ConfigError: the message names every wrong setting.
        """
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
