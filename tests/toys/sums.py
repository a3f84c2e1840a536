"""Sums and products that tie layers: residuals, cycles, tied chains, groups on both sides of a sum."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies import Head, Module, conv, images
from tests.toys.cases import toy


def layers(count: int, width: int = 4, first: int = 3) -> nn.ModuleList:
    """Convolutions: `count` from the image to one width, or a chain of one width where first is that width."""
    return nn.ModuleList(nn.Conv2d(first, width, 3, padding=1) for _ in range(count))


@toy("ModelOpt ExampleModel1", groups=3)
def branches_added_twice() -> tuple[nn.Module, Any]:
    """One branch joins a sum twice, before and after both were halved."""

    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.long(m.stem(x)), m.short(x)
        return m.last(F.interpolate(a + b, scale_factor=0.5) + F.max_pool2d(b.abs(), 2))

    long = nn.Sequential(nn.Conv2d(6, 5, 1), nn.ReLU(), nn.Conv2d(5, 8, 3, padding=1))
    stem, short = (nn.Conv2d(3, n, 3, padding=1) for n in (6, 8))
    last = nn.Conv2d(8, 1, 3)
    return Module(run, stem=stem, long=long, short=short, last=last), images()


@toy("ModelOpt ExampleModel2, MMRazor MultiBind", groups=4)
def three_branches() -> tuple[nn.Module, Any]:
    """Residual blocks, a convolution and another residual block end in one sum."""

    class Block(nn.Module):
        def __init__(self, inner: int) -> None:
            super().__init__()
            self.body = nn.Sequential(conv(6, inner), conv(inner, 6, relu=False))

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.body(x) + x)

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.last(m.a(x) + m.b(x) + m.c(x) + 1)

    parts = {"a": nn.Sequential(Block(5), Block(4)), "b": nn.Conv2d(6, 6, 1), "c": Block(7)}
    return Module(run, stem=conv(3, 6), **parts, last=nn.Conv2d(6, 5, 1)), images()


@toy("ModelOpt ExampleModel3", groups=0)
def nothing_inside() -> tuple[nn.Module, Any]:
    """One layer from input to output."""
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ReLU()), images()


@toy("ModelOpt ExampleModel5", groups=0)
def tied_to_the_input() -> tuple[nn.Module, Any]:
    """A chain of sums that ends with the network's input: everything stays, found out at its end only."""

    def run(m: Any, x: Tensor) -> Tensor:
        a = m.convs[0](x)
        b = m.convs[1](a)
        c = a + b
        d = m.convs[2](c)
        b += d
        return m.convs[3](a + b + c + d + x)

    return Module(run, convs=layers(4, 3)), images()


@toy("ModelOpt ExampleModel6, 7 and 8", groups=1)
def sums_of_pairs() -> tuple[nn.Module, Any]:
    """Four layers tied pair by pair, one pair in place and scaled."""

    def run(m: Any, x: Tensor) -> Tensor:
        a, b, c, d = (layer(x) for layer in m.convs)
        first, second = c + d, b + c
        return m.last(first + second + a.add_(d, alpha=2.0))

    return Module(run, convs=layers(4), last=nn.Conv2d(4, 3, 3)), images()


@toy("ModelOpt ExampleModel9", groups=0)
def a_sum_over_everything() -> tuple[nn.Module, Any]:
    """One of four tied layers is summed over all its elements (ours may shrink: a removed channel adds nothing)."""

    def run(m: Any, x: Tensor) -> Tensor:
        a, b, c, d = (layer(x) for layer in m.convs)
        return m.last((c + d) + (b + c) + (a + d) + d.sum())

    return Module(run, convs=layers(4), last=nn.Conv2d(4, 3, 3)), images()


@toy("ModelOpt ExampleModel10", groups=1)
def a_cycle() -> tuple[nn.Module, Any]:
    """Two layers, each used twice, added one way round and subtracted the other."""

    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.convs
        return m.last((a(x) + b(x)) + (b(x) - a(x)))

    return Module(run, convs=layers(2), last=nn.Conv2d(4, 3, 3)), images()


@toy("ModelOpt ExampleModel11", groups=1)
def shared_between_branches() -> tuple[nn.Module, Any]:
    """A layer reads two tensors and so ties their makers."""

    def run(m: Any, x: Tensor) -> Tensor:
        a = m.first(x)
        return m.last(a + m.b(a) + m.c(a) + m.c(m.d(a)))

    inner = {name: nn.Sequential(nn.Conv2d(5, 5, 3, padding=1), nn.BatchNorm2d(5)) for name in "bcd"}
    return Module(run, first=conv(3, 5), **inner, last=nn.Conv2d(5, 3, 3)), images()


@toy("ModelOpt ExampleModel13", groups=1)
def nested_sums() -> tuple[nn.Module, Any]:
    """Sums inside a module inside a module, whose outermost layers read and make the image."""

    class Nested(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.a, self.b, self.inner = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1), inner

        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x) + self.b(x)
            return 2 * y if self.inner(y).shape[0] > 10 else y

    def run(m: Any, x: Tensor) -> Tensor:
        y = m.convs[1](m.convs[0](x) + m.nested(x)) + m.convs[2](m.convs[0](x))
        return m.last(y)

    convs = nn.ModuleList([nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 3)])
    return Module(run, convs=convs, nested=Nested(Nested(nn.Identity())), last=nn.Conv2d(5, 3, 1)), images()


@toy("ModelOpt ExampleModel14", groups=1)
def two_makers() -> tuple[nn.Module, Any]:
    """Two layers of the image, added."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.c(m.a(x) + m.b(x))

    return Module(run, a=nn.Conv2d(3, 16, 3), b=nn.Conv2d(3, 16, 3), c=nn.Conv2d(16, 4, 3)), images()


@toy("MMRazor Xmodel", groups=2)
def multiplied_then_added() -> tuple[nn.Module, Any]:
    """Two layers multiplied, two of the product added."""

    def run(m: Any, x: Tensor) -> Tensor:
        both = m.a(x) * m.b(x)
        return m.head(m.c(both) + m.d(both))

    inner = {"a": conv(3, 8), "b": conv(3, 8), "c": conv(8, 6), "d": conv(8, 6)}
    return Module(run, **inner, head=Head(6)), images()


@toy("MMRazor ConvAttn", groups=2)
def gated_by_its_mean() -> tuple[nn.Module, Any]:
    """Channels gated by the sigmoid of their own mean, without a layer between."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        return m.head(m.b(x * torch.sigmoid(F.adaptive_avg_pool2d(x, 1))))

    return Module(run, a=conv(3, 8, relu=False), b=conv(8, 6), head=Head(6)), images()


@toy("MMRazor GroupWiseConv, TinyNeuralNetwork group_graph", groups=3)
def grouped_between_norms() -> tuple[nn.Module, Any]:
    """A grouped convolution with two outputs for each input between two normalisations."""
    body = [conv(3, 8), conv(8, 16, groups=2, relu=False), nn.Conv2d(16, 6, 3), Head(6)]
    return nn.Sequential(*body), images()


@toy("TinyNeuralNetwork multi_group_graph", groups=0)
def read_in_different_groups() -> tuple[nn.Module, Any]:
    """One tensor is read in four and in eight groups; both results are outputs."""

    def run(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        x = m.stem(x)
        return m.a(x), m.b(x)

    inner = {"a": nn.Conv2d(16, 32, 3, groups=4), "b": nn.Conv2d(16, 32, 3, groups=8)}
    return Module(run, stem=nn.Conv2d(3, 16, 3), **inner), images()


@toy("TinyNeuralNetwork group_element_wise_graph (add, sub, mul, truediv)", groups=1)
def combined_with_groups() -> tuple[nn.Module, Any]:
    """A grouped and a plain layer are combined in four ways and read in other groups."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        a, b = m.a(x), m.b(x)
        return m.head(m.c((a + b) * (a - b) / (b * b + 1)))

    inner = {"a": nn.Conv2d(16, 16, 1, groups=8), "b": nn.Conv2d(16, 16, 1), "c": nn.Conv2d(16, 16, 1, groups=4)}
    return Module(run, stem=nn.Conv2d(3, 16, 3), **inner, head=Head(16)), images()


@toy("TinyNeuralNetwork loop_conv_block", groups=1)
def added_to_itself() -> tuple[nn.Module, Any]:
    """A tensor is added to itself twice."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        return m.b(x + x + x)

    return Module(run, a=nn.Conv2d(3, 8, 3), b=nn.Conv2d(8, 6, 3)), images()


@toy("TinyNeuralNetwork padding, cat_add_graph; ModelOpt ConcatModel3", groups=2)
def a_sum_with_a_concatenation() -> tuple[nn.Module, Any]:
    """A layer is added to two others side by side, then space is padded."""

    def run(m: Any, x: Tensor) -> Tensor:
        both = torch.cat([m.a(x), m.b(x)], 1)
        return m.d(F.pad(torch.add(both, m.c(x)), (1, 1, 1, 1)))

    inner = {"a": conv(3, 4), "b": nn.Conv2d(3, 6, 3, padding=1), "c": nn.Conv2d(3, 10, 3, padding=1)}
    return Module(run, **inner, d=nn.Conv2d(10, 8, 3)), images()
