"""Modes of a network: one for as long as it is used so, and each module's own again afterwards."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ParamSpec, TypeVar

import torch
from torch import nn

P = ParamSpec("P")
T = TypeVar("T")


def outside_inference(function: Callable[P, T]) -> Callable[P, T]:
    """Call a function outside of `torch.inference_mode`, whose tensors do not tell whether they were changed."""
    wrapped: Callable[P, T] = torch.inference_mode(mode=False)(function)
    return wrapped


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


def drop_caches(model: nn.Module) -> None:
    """Let modules forget tensors that they cached in evaluation mode, as they do when training starts."""
    with mode(model, training=True):
        pass
