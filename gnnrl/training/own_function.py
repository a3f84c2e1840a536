"""The training of a pruned network by a user's own function, and the checks after it."""

import warnings
from collections.abc import Callable
from contextvars import ContextVar

import torch
from torch import nn

from gnnrl.errors import EvaluationError, GnnrlWarning

Advance = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Tell nobody how many epochs are done."""


EPOCHS: ContextVar[Advance] = ContextVar("EPOCHS", default=silent)
"""The function that `finetune` tells how many epochs are done, and of how many, while `train_by` runs."""


def train_by(function: Callable[[nn.Module], object], model: nn.Module, advance: Advance = silent) -> None:
    """Let a function train a network in place, then put the network into evaluation mode.

    A function that changes the network's parameters or buffers, or returns another network, causes a warning.

    Raises:
        EvaluationError: the function left weights that are not finite numbers.
    """
    before = _shapes(model)
    token = EPOCHS.set(advance)
    try:
        returned = function(model)
    finally:
        EPOCHS.reset(token)
    model.eval()
    if lost := damaged(model):
        raise EvaluationError(
            f"fine-tuning left NaN or infinite numbers in {lost[0]} ({len(lost)} tensors in all): it diverged; "
            "lower its learning rate, or clip its gradients"
        )
    if isinstance(returned, nn.Module) and returned is not model:
        _warn("finetune returned another network, which is ignored; train the network that it is given, in place")
    changed = sorted(before.items() ^ _shapes(model).items())
    if changed:
        _warn(
            f"finetune changed the parameters or buffers of the network ({changed[0][0]}): it works here, but does not "
            "load into a fresh instance of its class; train the existing layers without replacing them"
        )


def damaged(model: nn.Module) -> list[str]:
    """Return the names of the parameters and buffers that hold NaN or infinite numbers."""
    return [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def _warn(message: str) -> None:
    warnings.warn(message, GnnrlWarning, stacklevel=3)
