"""One layer after another: each kind of layer, activation and pooling."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


@fixture
def chain() -> tuple[nn.Module, Any]:
    return nn.Sequential(conv(3, 8), nn.MaxPool2d(2), conv(8, 16), nn.Dropout(0.2), conv(16, 12), Head(12)), images()


@fixture
def flatten_linear() -> tuple[nn.Module, Any]:
    body = [conv(3, 6), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(24, 10), nn.ReLU(), nn.Linear(10, 5)]
    return nn.Sequential(*body), images()


@fixture
def mean_head() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.body(x)
        return m.head(torch.cat([x.mean([-2, -1]), x.amax((2, 3))], 1))

    return Module(run, body=nn.Sequential(conv(3, 8), conv(8, 10)), head=nn.Linear(20, 5)), images()


@fixture
def transposed_convolution() -> tuple[nn.Module, Any]:
    body = [conv(3, 8, stride=2), nn.ConvTranspose2d(8, 6, 2, stride=2), nn.BatchNorm2d(6), nn.ReLU()]
    return nn.Sequential(*body, nn.Conv2d(6, 3, 3, padding=1)), images()


@fixture
def convolutions_1d() -> tuple[nn.Module, Any]:
    body = [nn.Conv1d(2, 8, 5, padding="same"), nn.BatchNorm1d(8), nn.GELU(), nn.Conv1d(8, 6, 3, dilation=2)]
    return nn.Sequential(*body, nn.ELU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(6, 3)), torch.randn(2, 2, 16)


@fixture
def convolutions_3d() -> tuple[nn.Module, Any]:
    body = [nn.Conv3d(1, 6, 3, padding=1), nn.BatchNorm3d(6), nn.ReLU(), nn.Conv3d(6, 8, (1, 3, 3)), nn.MaxPool3d(2)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(8 * 2, 3)), torch.randn(2, 1, 4, 4, 4)


@fixture
def prelu() -> tuple[nn.Module, Any]:
    body = [nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.Conv2d(8, 6, 3), nn.PReLU(), Head(6)]
    return nn.Sequential(*body), images()


@fixture
def embedding() -> tuple[nn.Module, Any]:
    body = [nn.Embedding(11, 8), nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 4)]
    return nn.Sequential(*body), torch.randint(0, 11, (2, 5))


@fixture
def buffers() -> tuple[nn.Module, Any]:
    """A buffer that scales channels and one that scales pixels."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(m.stem(x) * m.mask + m.grid)

    model = Module(run, stem=conv(3, 8), head=Head(8))
    model.register_buffer("mask", torch.rand(1, 8, 1, 1) + 0.5)
    model.register_buffer("grid", torch.rand(8, 8))
    return model, images()


@fixture
def unused_parameter() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(m.stem(x))

    return Module(run, stem=conv(3, 8), head=Head(8), training_only=nn.Conv2d(8, 8, 1)), images()


@fixture
def scripted_scalar() -> tuple[nn.Module, Any]:
    """Learned scalars, comparisons, clamps and where."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = torch.where(x > m.threshold, x, m.slope * x).clamp(max=6)
        return m.head(x)

    scalars = {"threshold": nn.Parameter(torch.tensor(0.1)), "slope": nn.Parameter(torch.tensor([0.2]))}
    return Module(run, stem=conv(3, 8), head=Head(8), **scalars), images()
