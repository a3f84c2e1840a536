"""How tensors get in, through and out: inputs, outputs, unused parts, caches, shared blocks, recurrent layers."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies import Head, Module, conv, images
from tests.toys.cases import Inputs, toy


@toy("ModelOpt ExampleModel12", groups=1)
def an_input_for_each_branch() -> tuple[nn.Module, Any]:
    def run(m: Any, first: Tensor, second: Tensor) -> Tensor:
        return m.a(first) + m.c(m.b(second))

    layers = {"a": nn.Conv2d(3, 8, 3, padding=1), "b": nn.Conv2d(3, 6, 1), "c": nn.Conv2d(6, 8, 3, padding=1)}
    return Inputs(run, **layers), (images(), images())


@toy("ModelOpt ExampleModel15, 16 and 17", groups=1)
def layers_that_are_not_run() -> tuple[nn.Module, Any]:
    """A branch that the inputs' sizes choose, and an argument that is no tensor."""

    def run(m: Any, x: Tensor, skip: bool = True) -> Tensor:
        y = m.training_only(m.a(x)) if x.shape[0] > 10 or not skip else m.a(x)
        return m.b(y)

    layers = {"a": nn.Conv2d(3, 6, 3), "training_only": nn.Conv2d(6, 6, 3), "b": nn.Conv2d(6, 5, 3)}
    return Inputs(run, **layers), {"x": images(), "skip": True}


@toy("ModelOpt ExampleModel20 (without its branch on values)", groups=1)
def a_module_of_two_inputs_and_outputs() -> tuple[nn.Module, Any]:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(i, o, 3, padding=1) for i, o in ((2, 8), (2, 10), (10, 8)))

        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            x = self.a(x)
            return F.softplus(x), x + self.c(self.b(y))

    def run(m: Any, x: Tensor, y: Tensor) -> dict[str, Any]:
        first, second = m.both(x, y)
        return {"first": first, "second": {"deep": m.last(torch.tanh(second))}}

    return Inputs(run, both=Both(), last=nn.Conv2d(8, 1, 3)), (images(2), images(2))


@toy("ModelOpt ExampleModel19 and 21", groups=3)
def norms_of_several_kinds() -> tuple[nn.Module, Any]:
    body = [nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8, affine=True), nn.Conv2d(8, 8, 3), nn.GroupNorm(2, 8)]
    return nn.Sequential(*body, nn.Conv2d(8, 6, 1), nn.InstanceNorm2d(6, affine=True), nn.Conv2d(6, 1, 1)), images()


@toy("ModelOpt GetattrShape", groups=1)
def shapes_read_for_nothing() -> tuple[nn.Module, Any]:
    """Sizes that the code asks for and stores, but does not use."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        m.seen = [x.shape[:1], x.size()[2:], x.shape[-1], x.numel(), x.size(1)]
        return m.b(x)

    return Module(run, a=nn.Conv2d(3, 6, 1), b=nn.Conv2d(6, 4, 1)), images()


class Block(nn.Module):
    """A residual block of unusual functions that keeps its result for others."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(True))
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(torch.abs(x) + self.body(torch.cos(x)))
        self.kept[:] = [x]
        return x


@toy("ModelOpt DepthModel1 and 3", groups=2)
def results_read_from_a_cache() -> tuple[nn.Module, Any]:
    """Blocks in a row whose results are read again from the blocks themselves."""

    def run(m: Any, x: Tensor) -> Tensor:
        y = m.blocks(m.stem(x))
        y = y + m.blocks[0].kept[0] + m.blocks[2].kept[0]
        for block in m.blocks:
            block.kept.clear()
        return m.head(y)

    stem = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 1))
    return Module(run, stem=stem, blocks=nn.Sequential(*(Block(6) for _ in range(3))), head=Head(6)), images()


@toy("ModelOpt DepthModel2", groups=1)
def blocks_and_their_insides() -> tuple[nn.Module, Any]:
    """Blocks are run in a row, one by one, and in part."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        y = m.blocks(x) + m.blocks[0](x) + m.blocks[1](x) + m.blocks[0].body[0](x) + m.blocks[1].body[0](x)
        for block in m.blocks:
            block.kept.clear()
        return m.head(y)

    return Module(run, stem=conv(3, 6), blocks=nn.Sequential(Block(6), Block(6)), head=Head(6)), images()


@toy("ModelOpt DepthModel4", groups=1)
def one_block_four_times() -> tuple[nn.Module, Any]:
    block = nn.Sequential(conv(6, 6), nn.Conv2d(6, 6, 1))
    return nn.Sequential(conv(3, 6), *[block] * 4, Head(6)), images()


@toy("TinyNeuralNetwork list_output", groups=1)
def a_list_inside_a_tuple() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = m.a(x)
        return m.b(x), [m.c(x), m.d(x)]

    layers = {"a": nn.Linear(8, 9), "b": nn.Linear(9, 4), "c": nn.Linear(9, 5), "d": nn.Linear(9, 6)}
    return Module(run, **layers), torch.randn(2, 8)


@toy("TinyNeuralNetwork bn_compensation", groups=1)
def a_norm_of_the_input() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 1)), images()


@toy("TinyNeuralNetwork prelu; Torch-Pruning single_channel_output, pruner (transposed)", groups=3)
def up_to_a_single_channel() -> tuple[nn.Module, Any]:
    body = [nn.Conv2d(3, 8, 1), nn.PReLU(8), nn.ConvTranspose2d(8, 10, 2, 2), nn.BatchNorm2d(10), nn.ReLU()]
    return nn.Sequential(*body, conv(10, 6), conv(6, 1, relu=False)), images()


@toy("TinyNeuralNetwork issue_65", groups=0)
def frequencies_into_a_recurrent_layer() -> tuple[nn.Module, Any]:
    """Reshapes with numbers around a normalised layer, then several recurrent layers."""

    def run(m: Any, x: Tensor) -> Tensor:
        n, t = x.shape[0], x.shape[3]
        y = m.norm(m.linear(x.permute(3, 0, 1, 2).reshape(-1, 14)))
        return m.lstm(y.reshape(t, n, 8))[0]

    lstm = nn.LSTM(8, 5, num_layers=2)
    return Module(run, linear=nn.Linear(14, 8, bias=False), norm=nn.BatchNorm1d(8), lstm=lstm), torch.randn(2, 2, 7, 3)


@toy("TinyNeuralNetwork basic_rnn, rnn", groups=1)
def recurrent_in_both_directions() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        y = F.relu(m.before(m.rnn(x)[0]))
        return m.after(m.gru(m.between(y))[0])

    recurrent = {"rnn": nn.RNN(4, 6, bidirectional=True), "gru": nn.GRU(7, 5, num_layers=2, bias=False)}
    linears = {"before": nn.Linear(12, 9), "between": nn.Linear(9, 7), "after": nn.Linear(5, 3)}
    return Module(run, **recurrent, **linears), torch.randn(5, 2, 4)


@toy("TinyNeuralNetwork lstm_proj_add_fc (without the projection, of which torch warns)", groups=0)
def a_recurrent_layer_and_a_sum() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        return m.b(m.a(x) + m.lstm(x)[0])

    lstm = nn.LSTM(4, 3, bidirectional=True)
    return Module(run, lstm=lstm, a=nn.Linear(4, 6), b=nn.Linear(6, 3)), torch.randn(5, 2, 4)
