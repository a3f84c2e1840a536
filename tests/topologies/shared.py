"""Modules that run more than once, and weights that several modules share."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


@fixture
def shared_module() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head(m.shared(m.shared(x)))

    return Module(run, stem=conv(3, 8), shared=conv(8, 8), head=Head(8)), images()


@fixture
def shared_head() -> tuple[nn.Module, Any]:
    """One head reads several scales of a pyramid (RetinaNet)."""

    def run(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        a = m.a(x)
        b = m.b(F.max_pool2d(a, 2))
        return m.head(m.tower(a)), m.head(m.tower(b))

    layers = {"a": conv(3, 8), "b": conv(8, 8), "tower": conv(8, 10), "head": nn.Conv2d(10, 4, 1)}
    return Module(run, **layers), images()


class TiedDecoder(nn.Module):
    """The output layer is the embedding again."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.body, self.decoder = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 11)
        self.decoder.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(F.relu(self.body(self.embedding(x))))


@fixture
def tied_embedding() -> tuple[nn.Module, Any]:
    return TiedDecoder(), torch.randint(0, 11, (2, 5))


@fixture
def tied_convolutions() -> tuple[nn.Module, Any]:
    layers = [conv(3, 8), conv(8, 8), conv(8, 8), Head(8)]
    layers[2][0].weight = layers[1][0].weight
    return nn.Sequential(*layers), images()
