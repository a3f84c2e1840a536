"""Recurrent layers and cells."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Module


@fixture
def recurrent() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(F.relu(m.hidden(m.lstm(m.stem(x))[0])))

    layers = {"stem": nn.Linear(4, 6), "lstm": nn.LSTM(6, 8, batch_first=True), "hidden": nn.Linear(8, 10)}
    return Module(run, **layers, head=nn.Linear(10, 3)), torch.randn(2, 5, 4)


@fixture
def recurrent_directions() -> tuple[nn.Module, Any]:
    """Two layers in both directions without biases, of which the last states are read, too."""

    def run(m: Any, x: Tensor) -> Tensor:
        rows, states = m.gru(m.stem(x).transpose(0, 1))
        return m.head(F.relu(m.hidden(rows[-1]) + m.last(states[-1])))

    gru = nn.GRU(6, 7, num_layers=2, bias=False, bidirectional=True)
    layers = {"stem": nn.Linear(4, 6), "hidden": nn.Linear(14, 10), "last": nn.Linear(7, 10)}
    return Module(run, gru=gru, **layers, head=nn.Linear(10, 3)), torch.randn(2, 5, 4)


@fixture
def recurrent_projected() -> tuple[nn.Module, Any]:
    """An LSTM whose outputs are projections of its hidden units stays."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(F.relu(m.body(m.lstm(m.stem(x))[0].mean(1))))

    lstm = nn.LSTM(6, 9, num_layers=2, batch_first=True, proj_size=5)
    layers = {"stem": nn.Linear(4, 6), "body": nn.Linear(5, 6), "head": nn.Linear(6, 3)}
    return Module(run, lstm=lstm, **layers), torch.randn(2, 5, 4)


@fixture
def recurrent_states() -> tuple[nn.Module, Any]:
    """A decoder that starts from what an encoder ends in, and from zeros that the code makes."""

    def run(m: Any, x: Tensor) -> Tensor:
        _, state = m.encoder(x)
        start = x.new_zeros(1, x.shape[0], m.width)
        return m.head(F.relu(m.hidden(m.decoder(m.stem(x), (state, start))[0])))

    recurrent = {"encoder": nn.RNN(4, 8, batch_first=True), "decoder": nn.LSTM(6, 8, batch_first=True)}
    layers = {"stem": nn.Linear(4, 6), "hidden": nn.Linear(8, 10), "head": nn.Linear(10, 3)}
    model = Module(run, **recurrent, **layers)
    model.width = 8
    return model, torch.randn(2, 5, 4)


@fixture
def recurrent_cells() -> tuple[nn.Module, Any]:
    """Cells in a loop of the user's, one of which starts from a learned state."""

    def run(m: Any, x: Tensor) -> Tensor:
        y, state, row = m.stem(x), None, m.start.expand(x.shape[0], -1)
        for step in range(x.shape[1]):
            row = m.gru(y[:, step], row)
            state = m.lstm(row, state)
        return m.head(F.relu(m.plain(state[0])))

    cells = {"gru": nn.GRUCell(6, 8), "lstm": nn.LSTMCell(8, 7), "plain": nn.RNNCell(7, 9, nonlinearity="relu")}
    start = nn.Parameter(torch.randn(1, 8))
    return Module(run, stem=nn.Linear(4, 6), **cells, start=start, head=nn.Linear(9, 3)), torch.randn(2, 3, 4)


class ConvolutionalCell(nn.Module):
    """Convolutions with gates in a loop, which start from zeros that a method makes (ConvLSTM)."""

    def __init__(self) -> None:
        super().__init__()
        self.width, self.gates, self.out = 8, nn.Conv2d(2 + 8, 32, 3, padding=1), nn.Conv2d(8, 3, 1)

    def start(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), self.width, *x.shape[3:], dtype=x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        state = output = self.start(x)
        for step in range(x.shape[1]):
            i, f, o, g = self.gates(torch.cat([x[:, step], output], 1)).chunk(4, 1)
            state = f.sigmoid() * state + i.sigmoid() * g.tanh()
            output = o.sigmoid() * state.tanh()
        return self.out(output)


@fixture
def recurrent_convolutions() -> tuple[nn.Module, Any]:
    return ConvolutionalCell(), torch.randn(2, 3, 2, 5, 5)
