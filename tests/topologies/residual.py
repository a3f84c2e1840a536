"""Sums: residual blocks with every kind of shortcut."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(inputs, outputs, stride=stride), conv(outputs, outputs, relu=False)
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


@fixture
def residual() -> tuple[nn.Module, Any]:
    return nn.Sequential(conv(3, 12), BasicBlock(12, 12), BasicBlock(12, 12), Head(12)), images()


class PadShortcut(nn.Module):
    """Shortcut A of the CIFAR ResNets: every other pixel, zeros for the channels that are new."""

    def __init__(self, amount: int) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.amount, self.amount))


@fixture
def padding_shortcut() -> tuple[nn.Module, Any]:
    blocks = [BasicBlock(8, 8), BasicBlock(8, 16, 2, PadShortcut(4)), BasicBlock(16, 16)]
    return nn.Sequential(conv(3, 8), *blocks, Head(16)), images()


@fixture
def projection_shortcut() -> tuple[nn.Module, Any]:
    block = BasicBlock(8, 16, 2, conv(8, 16, 1, relu=False, stride=2))
    return nn.Sequential(conv(3, 8), BasicBlock(8, 8), block, BasicBlock(16, 16), Head(16)), images()


@fixture
def bottleneck() -> tuple[nn.Module, Any]:
    class Bottleneck(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(conv(16, 4, 1), conv(4, 4), conv(4, 16, 1, relu=False))

        def forward(self, x: Tensor) -> Tensor:
            out = self.body(x)
            out += x
            return out.relu_()

    return nn.Sequential(conv(3, 16), Bottleneck(), Bottleneck(), Head(16)), images()


@fixture
def inverted_residual() -> tuple[nn.Module, Any]:
    class Inverted(nn.Module):
        def __init__(self, activation: nn.Module) -> None:
            super().__init__()
            self.body = nn.Sequential(
                conv(8, 16, 1, relu=False), activation, conv(16, 16, groups=16), conv(16, 8, 1, relu=False)
            )

        def forward(self, x: Tensor) -> Tensor:
            return x + self.body(x)

    return nn.Sequential(conv(3, 8), Inverted(nn.ReLU6()), Inverted(nn.Hardswish()), Head(8)), images()


@fixture
def pre_activation() -> tuple[nn.Module, Any]:
    """Normalisation before each convolution: the residual stream itself is never normalised."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = x + m.c2(F.relu(m.n2(m.c1(F.relu(m.n1(x))))))
        return m.head(F.relu(m.last(x)))

    layers = {
        "stem": nn.Conv2d(3, 8, 3),
        "n1": nn.BatchNorm2d(8),
        "c1": nn.Conv2d(8, 12, 3, padding=1),
        "n2": nn.BatchNorm2d(12),
        "c2": nn.Conv2d(12, 8, 3, padding=1),
        "last": nn.BatchNorm2d(8),
        "head": Head(8),
    }
    return Module(run, **layers), images()


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm, self.up = nn.LayerNorm(channels), nn.Linear(channels, 2 * channels)
        self.down = nn.Linear(2 * channels, channels)
        self.gamma, self.scale = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.rand(channels, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.gamma * self.down(F.gelu(self.up(y)))
        return x + self.scale * y.permute(0, 3, 1, 2)


@fixture
def layer_scale() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.Conv2d(3, 8, 2, stride=2), ConvNeXtBlock(8), ConvNeXtBlock(8), Head(8)), images()
