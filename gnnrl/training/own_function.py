"""A user's own training of a pruned network: what is asked of it, and what is looked at afterwards."""

import warnings
from collections.abc import Callable

import torch
from torch import nn

from gnnrl.errors import EvaluationError, GnnrlWarning


def train_by(function: Callable[[nn.Module], object], model: nn.Module) -> None:
    """Let a function train a network in place, and leave the network in evaluation mode.

    A warning says where it made another network of it, whose weights fit no fresh instance of the class, or returned
    one.

    Raises:
        EvaluationError: it left weights that are no finite numbers.
    """
    before = _shapes(model)
    returned = function(model)
    model.eval()
    if lost := damaged(model):
        raise EvaluationError(
            f"fine-tuning left NaN or infinite numbers in {lost[0]} ({len(lost)} tensors in all): it diverged; "
            "lower its learning rate, or clip its gradients"
        )
    if isinstance(returned, nn.Module) and returned is not model:
        _warn("finetune returned another network, which is left alone; train the one that it is given, in place")
    changed = sorted(before.items() ^ _shapes(model).items())
    if changed:
        _warn(
            f"finetune changed what the network is made of ({changed[0][0]}): it works here, but does not load into a "
            "fresh instance of its class; train the layers that are there, without replacing them"
        )


def damaged(model: nn.Module) -> list[str]:
    """Names of the parameters and buffers that hold NaN or infinite numbers."""
    return [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def _warn(message: str) -> None:
    warnings.warn(message, GnnrlWarning, stacklevel=3)
