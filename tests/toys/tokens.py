"""Linear layers and normalisations of tokens and vectors, with and without numbers in the code."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies import Module, images
from tests.toys.cases import toy


@toy("ModelOpt LinearModel1, 2 and 3", groups=4)
def linear_chain() -> tuple[nn.Module, Any]:
    """Layers in a list, some normalised."""

    def run(m: Any, x: Tensor) -> Tensor:
        for layer in m.layers:
            x = layer(x)
        return x

    widths = [(3, 8), (8, 16), (16, 12), (12, 10)]
    body: list[nn.Module] = [nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.ReLU()) for a, b in widths]
    return Module(run, layers=nn.ModuleList([*body, nn.Linear(10, 1)])), torch.randn(2, 3)


@toy("ModelOpt LinearModel4, Torch-Pruning dependency_lenet, MMRazor ExpandLine", groups=3)
def flattened_with_a_norm() -> tuple[nn.Module, Any]:
    body = [nn.Conv2d(3, 6, 3), nn.MaxPool2d(2), nn.Conv2d(6, 8, 2), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(2)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(32, 10), nn.LayerNorm(10), nn.Linear(10, 2)), images()


@toy("ModelOpt LinearModel5", groups=2)
def three_norms_of_vectors() -> tuple[nn.Module, Any]:
    norms = [nn.LayerNorm(16), nn.BatchNorm1d(12), nn.LayerNorm(10)]
    linears = [nn.Linear(4, 16), nn.Linear(16, 12), nn.Linear(12, 10)]
    body = [part for pair in zip(linears, norms, strict=True) for part in pair]
    return nn.Sequential(*body, nn.Linear(10, 2)), torch.randn(2, 4)


@toy("ModelOpt LinearModel6", groups=1)
def read_along_the_other_dimension() -> tuple[nn.Module, Any]:
    """A sequence of channels, transposed for one layer and back for the next."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.mix(torch.transpose(m.body(x), 1, 2))
        return m.last(torch.transpose(x, 1, 2))

    body = nn.Sequential(nn.Conv1d(3, 16, 3, padding=1), nn.BatchNorm1d(16), nn.Conv1d(16, 12, 3, padding=1))
    mix = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.LayerNorm(8))
    return Module(run, body=body, mix=mix, last=nn.Linear(7, 2)), torch.randn(2, 3, 7)


class Residual(nn.Module):
    """A normalised layer beside what it reads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(width, width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.norm(self.linear(x)))


@toy("ModelOpt LinearModel7 to 9", groups=3)
def residuals_and_plain_layers() -> tuple[nn.Module, Any]:
    body = [nn.Linear(4, 6), Residual(6), nn.Linear(6, 6), Residual(6), nn.Linear(6, 5), Residual(5)]
    return nn.Sequential(*body, nn.Linear(5, 1)), torch.randn(2, 4)


@toy("ModelOpt LinearModel10 and 11", groups=1)
def inherited_layers() -> tuple[nn.Module, Any]:
    """Layers of classes of the user's own, one with a forward of its own."""

    class Mine(nn.Linear):
        pass

    class Loud(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    class Row(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) + 1

    return Row(Mine(4, 8), nn.ReLU(), Loud(8, 6), Residual(6), Mine(6, 2)), torch.randn(2, 4)


@toy("ModelOpt PassthroughAsBoundary", groups=0)
def pooled_features() -> tuple[nn.Module, Any]:
    """Pooling along the features of a linear layer."""
    return nn.Sequential(nn.Linear(3, 4), nn.AvgPool2d(2), nn.Linear(2, 4)), torch.randn(1, 3, 4, 3)


@toy("Torch-Pruning fully_connected_layers", groups=1)
def residual_of_vectors() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = F.relu(m.a(x))
        return m.c(F.relu(m.b(x)) + x)

    return Module(run, a=nn.Linear(6, 12), b=nn.Linear(12, 12), c=nn.Linear(12, 3)), torch.randn(2, 6)


class UnitScale(nn.Module):
    """Unit length by hand, then a scale and a shift; a parameter that nobody uses and a size that nobody reads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.linear = width, nn.Linear(width, width)
        self.gamma, self.shift = nn.Parameter(torch.rand(width)), nn.Parameter(torch.rand(width))

    def forward(self, x: Tensor) -> Tensor:
        length = x.pow(2).sum(dim=1, keepdim=True).sqrt()
        return self.linear(torch.div(x, length.clamp(min=0.1)) * self.gamma + self.shift)


@toy("Torch-Pruning customized_layer", groups=2)
def unit_length_by_hand() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.Linear(6, 10), nn.ReLU(), UnitScale(10), nn.Linear(10, 3)), torch.randn(2, 6)


class FromLatent(nn.Module):
    """A vector becomes an image whose channels are stated by a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.up = nn.Linear(6, 48), nn.ConvTranspose2d(12, 8, 4, 2, 1)
        self.again, self.last = nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.Linear(256, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.linear(x)).view(-1, self.up.in_channels, 2, 2)
        return self.last(torch.flatten(F.relu(self.again(F.relu(self.up(x)))), 1))


@toy("Torch-Pruning reshape; ModelOpt ExampleModel18", groups=3)
def a_vector_becomes_an_image() -> tuple[nn.Module, Any]:
    return FromLatent(), torch.randn(2, 6)


@toy("TinyNeuralNetwork multi_dim_fc", groups=1)
def linear_of_images() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.Linear(8, 12), nn.Linear(12, 5)), torch.randn(2, 3, 4, 8)


@toy("TinyNeuralNetwork reshape_prune_node", groups=0)
def features_become_rows() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        return m.b(torch.transpose(m.a(x).reshape(1, 2, 16), 1, 2))

    return Module(run, a=nn.Linear(16, 32), b=nn.Linear(2, 6)), torch.randn(1, 16)
