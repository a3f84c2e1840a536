"""An exponential moving average of a network's weights along its training."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """The moving average of all parameters and buffers (Polyak & Juditsky 1992, doi:10.1137/0330046).

        a_t = d_t a_(t-1) + (1 - d_t) w_t,    d_t = min(d, (1 + t) / (10 + t))

    The decay grows with the steps, so that a short training is not dominated by its first weights. Integers, such as
    counts of batches, are not averaged but copied.

    Args:
        model: the network, before the first step.
        decay: d, in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Add the weights after a step to the average."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor, 1 - decay)
            else:
                self.state[name].copy_(tensor)

    def restore(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Resume from a saved average."""
        self.steps = steps
        for name, tensor in self.state.items():
            tensor.copy_(state[name])
