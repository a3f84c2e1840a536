"""Normalisations of features and of weights."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies.cases import fixture
from tests.topologies.layers import Head, Module, conv, images


@fixture
def group_norm_of_single_channels() -> tuple[nn.Module, Any]:
    """As in the first layer of wav2vec 2.0."""
    return nn.Sequential(nn.Conv2d(3, 12, 3), nn.GroupNorm(12, 12), nn.ReLU(), nn.Conv2d(12, 8, 3), Head(8)), images()


@fixture
def group_norm() -> tuple[nn.Module, Any]:
    body = [nn.Conv2d(3, 12, 3), nn.GroupNorm(3, 12), nn.ReLU(), nn.Conv2d(12, 8, 3), nn.GroupNorm(1, 8), Head(8)]
    return nn.Sequential(*body), images()


@fixture
def instance_norm() -> tuple[nn.Module, Any]:
    body = [nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.InstanceNorm2d(6, affine=True)]
    return nn.Sequential(*body, Head(6)), images()


@fixture
def batch_norm_plain() -> tuple[nn.Module, Any]:
    """Batch normalisation without scale and shift."""
    body = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False), nn.ReLU(), nn.Conv2d(8, 6, 3), Head(6)]
    return nn.Sequential(*body), images()


@fixture
def layer_norm_mlp() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = x + m.down(F.gelu(m.up(m.norm(x))))
        return m.head(m.last(x))

    layers = {
        "stem": nn.Linear(6, 8),
        "norm": nn.LayerNorm(8),
        "up": nn.Linear(8, 16),
        "down": nn.Linear(16, 8),
        "last": nn.LayerNorm(8),
        "head": nn.Linear(8, 4),
    }
    return Module(run, **layers), torch.randn(2, 5, 6)


@fixture
def layer_norm_plain() -> tuple[nn.Module, Any]:
    """Layer normalisation without scale and shift (DiT)."""
    body = [nn.Linear(6, 8), nn.LayerNorm(8, elementwise_affine=False), nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 4)]
    return nn.Sequential(*body), torch.randn(2, 5, 6)


@fixture
def weight_norm() -> tuple[nn.Module, Any]:
    """Weights that the program computes from other parameters."""
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 8, 3))
    return nn.Sequential(conv(3, 6), layer, nn.ReLU(), conv(8, 10), Head(10)), images()


@fixture
def unit_length() -> tuple[nn.Module, Any]:
    """Features normalised to unit length over the channels."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(F.normalize(m.b(m.a(x)), dim=1))

    return Module(run, a=conv(3, 8), b=conv(8, 6), head=Head(6)), images()


@fixture
def spectral_norm() -> tuple[nn.Module, Any]:
    """Weights divided by their largest singular value, with buffers of one entry for each channel."""
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Conv2d(6, 8, 3))
    return nn.Sequential(conv(3, 6), layer, nn.ReLU(), conv(8, 10), Head(10)), images()


@fixture
def spectral_norm_transposed() -> tuple[nn.Module, Any]:
    """A weight whose outputs are its second dimension: it is permuted, then flattened, for its norm."""
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.ConvTranspose2d(6, 8, 2, stride=2))
    return nn.Sequential(conv(3, 6), layer, nn.ReLU(), conv(8, 10), Head(10)), images()


@fixture
def rms_norm() -> tuple[nn.Module, Any]:
    body = [nn.Linear(6, 8), nn.RMSNorm(8), nn.Linear(8, 12), nn.SiLU(), nn.Linear(12, 4)]
    return nn.Sequential(*body), torch.randn(2, 5, 6)
