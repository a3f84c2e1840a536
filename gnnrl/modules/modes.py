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


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode without caches inside, and restore each module's mode and configuration afterwards."""
    with mode(model, training=False), _plain(model):
        yield


_PLAIN = {"use_cache": False, "_experts_implementation_internal": "batched_mm"}
"""Settings of Hugging Face's configurations: no caches among the outputs, and all experts in one product."""


@contextmanager
def _plain(model: nn.Module) -> Iterator[None]:
    """Give the configurations inside a network settings that `torch.export` accepts."""
    found = (getattr(getattr(module, "config", None), "__dict__", {}) for module in model.modules())
    configs = list({id(config): config for config in found}.values())
    before = [{name: config[name] for name in _PLAIN if config.get(name)} for config in configs]
    try:
        for config, known in zip(configs, before, strict=True):
            config.update({name: _PLAIN[name] for name in known})
        yield
    finally:
        for config, known in zip(configs, before, strict=True):
            config.update(known)


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
