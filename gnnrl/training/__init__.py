"""Loops over data: measures of a network, and its further training."""

from gnnrl.scoring.measures import (
    TEMPERATURE,
    Metric,
    Precision,
    all_logits,
    cross_entropy,
    evaluator,
    kl_divergence,
    mean_of,
    softened_divergence,
    top1,
)
from gnnrl.training.distillation import training_loss
from gnnrl.training.finetuning import FinetuneResult, OnProgress, finetune
from gnnrl.training.progress import Epoch
from gnnrl.training.recipe import Recipe, Schedule, rate_at

__all__ = [
    "TEMPERATURE",
    "Epoch",
    "FinetuneResult",
    "Metric",
    "OnProgress",
    "Precision",
    "Recipe",
    "Schedule",
    "all_logits",
    "cross_entropy",
    "evaluator",
    "finetune",
    "kl_divergence",
    "mean_of",
    "rate_at",
    "softened_divergence",
    "top1",
    "training_loss",
]
