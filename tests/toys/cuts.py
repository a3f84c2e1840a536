"""Channels that are cut: by constants, by attributes, by what a layer reads, into groups; shuffles."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies import Head, Module, conv, images
from tests.toys.cases import toy


@toy("ModelOpt ExampleModel4", groups=1)
def the_first_channels() -> tuple[nn.Module, Any]:
    """A number of channels that the code states; the others have no reader."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.b(m.a(x)[:, :8, :-1, :-1])

    return Module(run, a=nn.Conv2d(3, 14, 3, padding=1), b=nn.Conv2d(8, 16, 3)), images()


@toy("TinyNeuralNetwork cat_split_group_graph, split_group_graph", groups=0)
def apart_as_it_was_put_together() -> tuple[nn.Module, Any]:
    """Two layers side by side, cut where they meet, and read in groups."""

    def run(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([m.a(x), m.b(x)], 1)
        first, second = torch.split(both, both.shape[1] // 2, dim=1)
        return m.c(first), m.d(second)

    readers = {"c": nn.Conv2d(8, 32, 3, groups=2), "d": nn.Conv2d(8, 32, 3, groups=4)}
    return Module(run, a=nn.Conv2d(3, 8, 3), b=nn.Conv2d(3, 8, 3), **readers), images()


@toy("TinyNeuralNetwork split_linear_graph", groups=0)
def unequal_constants() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.split(m.a(x), (2, 6), dim=2)
        return m.b(first), m.c(second)

    return Module(run, a=nn.Linear(8, 8), b=nn.Linear(2, 5), c=nn.Linear(6, 4)), torch.randn(2, 3, 8)


class SplitLike(nn.Module):
    """Cuts as its own layers want it, and uses one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.make = nn.Sequential(conv(3, 6, 1), nn.Conv2d(6, 16, 1), nn.BatchNorm2d(16))
        self.narrow, self.wide = nn.Conv2d(4, 5, 1), nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        narrow, wide = self.narrow.in_channels, self.wide.in_channels
        a, b, c = torch.split(self.make(x), [narrow, narrow, wide], dim=1)
        return self.narrow(a), self.narrow(b), self.wide(c)


@toy("Torch-Pruning split", groups=3)
def cut_as_the_readers_want() -> tuple[nn.Module, Any]:
    """The code reads `in_channels` of the layers, which follow their weights."""
    return SplitLike(), images()


class SplitForConcat(nn.Module):
    """Cuts so that one part and another branch fill a third layer; the rest is a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Sequential(conv(3, 4, 1), conv(4, 10, 1)), nn.Sequential(conv(3, 5, 1), conv(5, 6, 1))
        self.c = nn.Sequential(nn.Conv2d(12, 4, 1), nn.BatchNorm2d(4))
        self.head = Head(4)

    def forward(self, x: Tensor) -> Tensor:
        other, x = self.b(x), self.a(x)
        first = self.c[0].in_channels - self.b[1][0].out_channels
        a, b = torch.split(x, (first, self.a[1][0].out_channels - first), 1)
        return self.head(self.c(torch.cat([a, other], dim=1)) + b)


@toy("Torch-Pruning concat_split", groups=3)
def cut_to_fill_a_concatenation() -> tuple[nn.Module, Any]:
    return SplitForConcat(), images()


@toy("TinyNeuralNetwork group_element_wise_split_graph", groups=2)
def halves_of_groups() -> tuple[nn.Module, Any]:
    """One half is convolved in groups and added to the other, read in other groups."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        a, b = torch.split(x, x.shape[1] // 2, 1)
        return m.last(m.c(m.b(a) + b))

    inner = {"b": nn.Conv2d(16, 16, 1, groups=8), "c": nn.Conv2d(16, 16, 1, groups=2), "last": nn.Conv2d(16, 4, 1)}
    return Module(run, stem=nn.Conv2d(3, 32, 1), **inner), images()


@toy("TinyNeuralNetwork res_2_net_block", groups=1)
def a_chain_of_quarters() -> tuple[nn.Module, Any]:
    """Res2Net: each quarter is added to what the quarter before became."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        a, b, c, d = torch.split(x, x.shape[1] // 4, 1)
        a = m.a(a)
        b = m.b(a + b)
        return m.last(torch.cat([a, b, m.c(b + c), d], 1))

    inner = {"a": nn.Conv2d(8, 8, 1, groups=4), "b": nn.Conv2d(8, 8, 1, groups=2), "c": nn.Conv2d(8, 8, 1)}
    return Module(run, stem=nn.Conv2d(3, 32, 1), **inner, last=nn.Conv2d(32, 5, 1)), images()


@toy("TinyNeuralNetwork shuffle_net_block", groups=0)
def a_shuffle_with_numbers() -> tuple[nn.Module, Any]:
    """The code says that there are two groups of eight."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        y = x.view(x.shape[0], 2, 8, x.shape[2], x.shape[3]).transpose(1, 2)
        return m.b(y.reshape([x.shape[0], -1, x.shape[2], x.shape[3]]))

    return Module(run, a=nn.Conv2d(3, 16, 3), b=nn.Conv2d(16, 6, 3)), images()


@toy("TinyNeuralNetwork channel_shuffle, shufflenetv2_chunk", groups=2)
def a_shuffle_after_a_chunk() -> tuple[nn.Module, Any]:
    """Half of the channels pass a depthwise bottleneck, then two and two are interleaved."""

    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.stem(x).chunk(2, dim=1)
        y = torch.cat([a, m.branch(b)], dim=1)
        n, c, h, w = y.size()
        return m.last(y.reshape([n, 2, c // 2, h, w]).transpose(1, 2).contiguous().view(n, -1, h, w))

    branch = nn.Sequential(nn.Conv2d(8, 10, 1), nn.Conv2d(10, 10, 1, groups=10), nn.Conv2d(10, 8, 1))
    return Module(run, stem=nn.Conv2d(3, 16, 1), branch=branch, last=nn.Conv2d(16, 5, 1)), images()


class Partial(nn.Module):
    """FasterNet: a convolution of the first channels; the others pass."""

    def __init__(self, width: int, part: int) -> None:
        super().__init__()
        self.part, self.rest = part, width - part
        self.conv = nn.Conv2d(part, part, 3, padding=1)
        self.mix = nn.Sequential(conv(width, 2 * width, 1), nn.Conv2d(2 * width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        a, b = torch.split(x, [self.part, self.rest], dim=1)
        return x + self.mix(torch.cat((self.conv(a), b), 1))


@toy("FasterNet's partial convolution", groups=4)
def partial_convolution() -> tuple[nn.Module, Any]:
    """Two attributes state where a cut is; both follow a plan."""
    return nn.Sequential(conv(3, 12), Partial(12, 3), Partial(12, 3), Head(12)), images()


class Sliced(nn.Module):
    """Two ranges by one attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.part = 5
        self.make, self.a, self.b, self.head = conv(3, 12), conv(5, 6), conv(7, 6), Head(6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.make(x)
        return self.head(self.a(x[:, : self.part]) + self.b(x[:, self.part :]))


@toy("slices by an attribute", groups=3)
def sliced_by_an_attribute() -> tuple[nn.Module, Any]:
    return Sliced(), images()


@toy("slices whose parts meet again unread", groups=1)
def a_slice_that_would_go_unnoticed() -> tuple[nn.Module, Any]:
    """No layer reads the parts: with another number of channels this runs and computes something else."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        return m.head(torch.cat([x[:, :6].sigmoid(), x[:, 6:]], 1))

    return Module(run, a=nn.Conv2d(3, 12, 3), head=Head(12)), images()


@toy("a slice from the middle", groups=0)
def a_slice_from_the_middle() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        return m.head(torch.cat([x, x[:, 4:8]], 1))

    return Module(run, a=nn.Conv2d(3, 12, 3), head=Head(16)), images()


class InceptionMix(nn.Module):
    """InceptionNeXt: the sizes of four parts in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = (7, 3, 3, 3)
        self.square, self.row, self.column = (
            nn.Conv2d(3, 3, kernel, padding=padding, groups=3)
            for kernel, padding in ((3, 1), ((1, 5), (0, 2)), ((5, 1), (2, 0)))
        )

    def forward(self, x: Tensor) -> Tensor:
        a, b, c, d = torch.split(x, self.sizes, dim=1)
        return torch.cat((a, self.square(b), self.row(c), self.column(d)), dim=1)


@toy("InceptionNeXt's mixer", groups=4)
def four_parts_by_a_tuple() -> tuple[nn.Module, Any]:
    return nn.Sequential(conv(3, 16), InceptionMix(), nn.BatchNorm2d(16), nn.Conv2d(16, 8, 1), Head(8)), images()


@toy("shares of the width at run time", groups=1)
def shares_at_run_time() -> tuple[nn.Module, Any]:
    """A half and two quarters of what there is."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        width = x.shape[1]
        a, b, c = torch.split(x, [width // 2, width // 4, width // 4], 1)
        return m.head(torch.cat([a, F.relu(b) * c], 1))

    return Module(run, a=nn.Conv2d(3, 16, 3), head=Head(12)), images()
