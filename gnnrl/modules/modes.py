"""Temporary modes of a network; each module gets its own mode back afterwards."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn


@contextmanager
def mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Set training or evaluation mode inside, and restore each module's mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, was_training in modes.items():
            module.training = was_training


def evaluating(model: nn.Module) -> AbstractContextManager[None]:
    """Set evaluation mode inside, and restore each module's mode afterwards."""
    return mode(model, training=False)


def training(model: nn.Module) -> AbstractContextManager[None]:
    """Set training mode inside, and restore each module's mode afterwards."""
    return mode(model, training=True)


def outside_inference() -> AbstractContextManager[None]:
    """Leave `torch.inference_mode` inside, because its tensors do not record whether they were changed."""
    return torch.inference_mode(mode=False)


def drop_caches(model: nn.Module) -> None:
    """Make modules drop tensors that they cached in evaluation mode, as they do when training starts."""
    with mode(model, training=True):
        pass
