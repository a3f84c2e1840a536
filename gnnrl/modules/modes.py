"""Modes of a network: one for as long as it is used so, and each module's own again afterwards."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn


@contextmanager
def mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Training or evaluation mode inside, each module's own mode again afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, was_training in modes.items():
            module.training = was_training


def evaluating(model: nn.Module) -> AbstractContextManager[None]:
    """Evaluation mode inside, each module's own mode again afterwards."""
    return mode(model, training=False)


def training(model: nn.Module) -> AbstractContextManager[None]:
    """Training mode inside, each module's own mode again afterwards."""
    return mode(model, training=True)


def outside_inference() -> AbstractContextManager[None]:
    """No `torch.inference_mode` inside: its tensors do not tell whether they were changed."""
    return torch.inference_mode(mode=False)


def drop_caches(model: nn.Module) -> None:
    """Let modules forget tensors that they cached in evaluation mode, as they do when training starts."""
    with mode(model, training=True):
        pass
