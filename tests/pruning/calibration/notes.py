"""What an observer sees of a network, written down."""

from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.pruning.calibration.layer_calls import LayerCall, normalise
from gnnrl.pruning.calibration.watch import Observer, Watch


class Notes:
    """An observer that changes nothing and writes down what it sees."""

    def __init__(self) -> None:
        self.layers: list[LayerCall] = []
        self.norms: list[LayerCall | None] = []
        self.additions: list[tuple[int, int]] = []
        self.observer = Observer(self._layer, self._norm, self._addition)

    def _layer(self, call: LayerCall) -> Tensor:
        self.layers.append(call)
        return call.run()

    def _norm(self, arguments: dict[str, Any], call: LayerCall | None) -> Tensor:
        self.norms.append(call)
        return normalise(arguments["input"], arguments)

    def _addition(self, number: int, branch: Tensor, other: Tensor, call: LayerCall) -> None:
        self.additions.append((number, call.order))


def watched(model: nn.Module | Any, *inputs: Tensor) -> Notes:
    notes = Notes()
    with torch.no_grad(), Watch(notes.observer):
        model(*inputs)
    return notes
