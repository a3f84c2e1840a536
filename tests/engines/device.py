"""An engine of a user: a device whose time is its multiply-accumulates."""

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SECONDS_OF_A_CALL, SECONDS_OF_A_MAC = 1e-4, 1e-8


class Engine:
    """Counts the multiply-accumulates of a network; at int8 each takes half the time."""

    def build(self, model: nn.Module, example_inputs: Any, precision: str) -> float:
        inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(*inputs)
        each = SECONDS_OF_A_MAC / (2 if precision == "int8" else 1)
        return SECONDS_OF_A_CALL + each * counter.get_total_flops() / 2

    def time(self, built: float) -> float:
        return built


class Broken(Engine):
    """A device that is not connected."""

    def time(self, built: float) -> float:
        raise OSError("no device on /dev/ttyUSB0")


class Silent(Engine):
    """A device that returns no time."""

    def time(self, built: float) -> float:
        return float("nan")
