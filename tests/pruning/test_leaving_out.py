"""Normalisations over channels leave removed channels out, in the masked network as in the pruned one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.errors import VerificationError
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.leaving_out import LeavingOut
from gnnrl.pruning.verification import verify
from tests.topologies import images, traced

EPS = 1e-5


def variance(x: Tensor, average: Tensor) -> Tensor:
    return (x - average).pow(2).mean(1, keepdim=True)


NORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "layer norm": lambda x: F.layer_norm(x.movedim(1, 3), (x.shape[1],)).movedim(3, 1),
    "group norm": lambda x: F.group_norm(x, 1),
    "RMS norm": lambda x: F.rms_norm(x.movedim(1, 3), (x.shape[1],)).movedim(3, 1),
    "mean and squares": lambda x: (x - x.mean(1, True)) / (variance(x, x.mean(1, True)) + EPS).sqrt(),
    "variance": lambda x: (x - x.mean(1, True)) * (x.var(1, keepdim=True, unbiased=False) + EPS).rsqrt(),
    "deviation": lambda x: (x - x.mean(dim=1, keepdim=True)) / (x.std(1, keepdim=True) + EPS),
    "both at once": lambda x: (lambda var, mean: (x - mean) * (var + EPS).rsqrt())(*torch.var_mean(x, 1, keepdim=True)),
    "squares": lambda x: x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + EPS),
    "squares of an image": lambda x: x / (x.pow(2).mean((1, 2, 3), keepdim=True) + EPS).sqrt(),
    "length by size": lambda x: x / (x.norm(dim=1, keepdim=True) * x.shape[1] ** -0.5 + EPS),
    "length over size": lambda x: x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) / x.shape[1] ** 0.5 + EPS),
    "sum over size": lambda x: x / ((x * x).sum(1, keepdim=True) / x.shape[1] + EPS).sqrt(),
}


class Normed(nn.Module):
    """A residual stream that is normalised twice, in its width and in a branch."""

    def __init__(self, norm: Callable[[Tensor], Tensor], width: int = 16) -> None:
        super().__init__()
        self.norm = norm
        self.stem, self.branch, self.head = nn.Conv2d(3, width, 1), nn.Conv2d(width, width, 3), nn.Conv2d(width, 3, 1)
        self.scale = nn.Parameter(torch.rand(width, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x[..., 1:-1, 1:-1] + self.branch(self.norm(x) * self.scale).relu()
        return self.head(self.norm(x))


def pruned(norm: Callable[[Tensor], Tensor]) -> tuple[nn.Module, nn.Module, Network, list[Any]]:
    torch.manual_seed(0)
    model = Normed(norm).eval()
    network = trace(model, images(size=6))
    kept = [np.array([1, 4, 7, 9, 12])] * len(network.groups)
    return model, remove(model, network, kept), network, kept


@pytest.mark.parametrize("name", NORMS)
def test_a_normalised_stream_is_pruned_and_compared(name: str) -> None:
    model, small, network, kept = pruned(NORMS[name])

    found = verify(model, small, network, kept, images(size=6))

    assert [group.size for group in network.groups] == [16]
    assert found.difference is not None
    assert found.difference < 1e-5


@pytest.mark.parametrize("name", NORMS)
def test_a_changed_weight_behind_a_normalisation_is_caught(name: str) -> None:
    model, small, network, kept = pruned(NORMS[name])
    with torch.no_grad():
        small.scale[0] *= 1.1  # type: ignore[index]

    with pytest.raises(VerificationError, match="differs from the masked dense one"):
        verify(model, small, network, kept, images(size=6))


def test_other_calls_than_those_that_were_traced_are_not_compared() -> None:
    model, _, network, kept = pruned(NORMS["squares"])
    leaving_out = LeavingOut(network, network.alive(kept))

    with torch.no_grad(), leaving_out:
        model(images(size=6))
        assert leaving_out.is_complete
        model(images(size=6))
    assert not leaving_out.is_complete


def test_a_network_without_such_normalisations_needs_nothing() -> None:
    case = traced("residual")
    kept = [np.arange(1)] * len(case.network.groups)

    assert not LeavingOut(case.network, case.network.alive(kept)).is_needed
