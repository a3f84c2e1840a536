"""A problem that a small network learns at once, and how to compare networks."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset


class Pairs(Dataset[tuple[Tensor, int]]):
    """A user's dataset: one sample at a time, labels as plain numbers."""

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.inputs[index], int(self.labels[index])


@pytest.fixture
def blobs() -> TensorDataset:
    """Two clouds of points, 100 each, that a straight line tells apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    return TensorDataset(torch.randn(200, 2, generator=generator) + 4 * labels[:, None] - 2, labels)


@pytest.fixture
def classifier() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))


def state(model: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
