"""Recurrent layers are run one by one, so that what reads their inputs is seen, weighed and repaired."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.calibration.layer_calls import LayerCall, normalise
from gnnrl.pruning.calibration.watch import Observer, watching
from gnnrl.pruning.counting import count_macs
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.reconstruction import repair


class Reader(nn.Module):
    """A linear layer, recurrent layers, a linear layer."""

    def __init__(self, kind: Callable[..., nn.Module], **settings: Any) -> None:
        super().__init__()
        self.stem, self.layers = nn.Linear(5, 12), kind(12, 8, **settings)
        self.head = nn.Linear(16 if settings.get("bidirectional") else 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.stem(x).relu())[0])


READERS = {
    "LSTM in both directions": lambda: Reader(nn.LSTM, num_layers=2, bidirectional=True, batch_first=True),
    "GRU without biases": lambda: Reader(nn.GRU, num_layers=3, bias=False),
    "RNN": lambda: Reader(nn.RNN),
}


@pytest.mark.parametrize("name", READERS)
def test_layers_one_by_one_compute_the_same(name: str) -> None:
    model, x, seen = READERS[name]().eval(), torch.randn(4, 6, 5), list[str]()
    names = {id(parameter): name for name, parameter in model.named_parameters()}

    def layer(call: LayerCall) -> Tensor:
        seen.append(names[id(call.weight)])
        return call.run()

    with torch.no_grad(), watching(model, Observer(layer, lambda a, _: normalise(a["input"], a), lambda *_: None)):
        output = model(x)

    torch.testing.assert_close(output, model(x))
    readers = [name for name in names.values() if "weight_ih" in name]
    assert seen == ["stem.weight", *readers, "head.weight"]


@torch.no_grad()
@pytest.mark.parametrize("name", READERS)
def test_what_reads_the_inputs_is_repaired(name: str) -> None:
    torch.manual_seed(0)
    model, x = READERS[name]().eval(), torch.randn(64, 6, 5)
    network = trace(model, x[:2])
    stem = next(group for group in network.groups if group.name == "stem")
    record = calibrate(model, [x])
    order = error_curves(model, network, record)[stem.index].order
    kept = [sorted(order[4:]) if group is stem else range(group.size) for group in network.groups]
    small = remove(model, network, kept)
    dense = model(x)
    before = float((small(x) - dense).square().mean())
    repair(small, network, kept, record)

    assert float((small(x) - dense).square().mean()) < 0.5 * before


def test_an_lstm_is_counted_where_one_kernel_computes_it() -> None:
    model, x = nn.LSTM(12, 8, batch_first=True), torch.randn(2, 6, 12)

    assert count_macs(model, x) == 2 * 6 * 4 * 8 * (12 + 8)
    assert torch.backends.mkldnn.enabled
