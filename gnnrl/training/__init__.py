"""Loops over data: how good a network is, and how it is trained further."""

from gnnrl.training.distillation import training_loss
from gnnrl.training.finetuning import FinetuneResult, OnProgress, finetune
from gnnrl.training.judging import Metric, Precision, cross_entropy, evaluator, top1
from gnnrl.training.progress import Epoch
from gnnrl.training.schedule import Schedule, rate_at

__all__ = [
    "Epoch",
    "FinetuneResult",
    "Metric",
    "OnProgress",
    "Precision",
    "Schedule",
    "cross_entropy",
    "evaluator",
    "finetune",
    "rate_at",
    "top1",
    "training_loss",
]
