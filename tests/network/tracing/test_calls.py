"""Calls of a narrower network, compared with those of the dense one."""

import numpy as np
import torch
from torch import Tensor, nn

from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.verification import verify
from tests.topologies import images, traced


def test_a_view_that_runs_with_wrong_sizes_is_noticed() -> None:
    """`view(n, -1, 4)` of fewer channels makes fewer rows of four, or rows that mix: whatever goes must be right."""

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.linear = nn.Linear(6, 8), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(self.a(x).view(x.shape[0], -1, 4)).sum(1)

    model = Rows().eval()
    x = torch.randn(2, 6)
    network = trace(model, x)
    kept = [range((group.size + 1) // 2) for group in network.groups]

    verify(model, remove(model, network, kept), network, kept, x)


class ScaledBySize(nn.Module):
    """Attention whose temperature is computed from the width of the queries."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        return self.out((q @ k.transpose(1, 2) * q.shape[-1] ** -0.5).softmax(-1) @ v)


def test_a_number_that_is_computed_from_a_size_freezes_the_size() -> None:
    network = trace(ScaledBySize().eval(), torch.randn(2, 5, 6))

    assert [group.name for group in network.groups] == ["v"]
    (frozen,) = [group for group in network.frozen if group.name == "q"]
    assert "the number depends on this size" in str(frozen.reasons[0])
    assert __file__ in str(frozen.reasons[0])


def test_halves_of_what_there_is_go_together_though_one_of_an_odd_number_is_right_by_chance() -> None:
    network = traced("channel_half_slice").network

    assert [place.positions.shape for place in network.group("stem.0").places[:1]] == [(4, 2)]
    for units in range(1, 5):
        kept = [np.arange(units) if group.name == "stem.0" else np.arange(group.size) for group in network.groups]
        small = remove(traced("channel_half_slice").model, network, kept)
        verify(traced("channel_half_slice").model, small, network, kept, images())


class Described(nn.Module):
    """Puts features of a picture at marked words, and checks that they are as many numbers as there is room for."""

    def __init__(self, *, checked: bool = True) -> None:
        super().__init__()
        self.words, self.picture, self.head = nn.Embedding(9, 8), nn.Linear(6, 8), nn.Linear(8, 3)
        self.checked = checked

    def forward(self, words: Tensor, picture: Tensor) -> Tensor:
        places, features = words == 0, self.picture(picture)
        room = places.sum() * features.shape[-1]
        if self.checked:
            torch._check_tensor_all(room == features.numel(), lambda: "other numbers of places and features")
            room = torch.ones(())
        return self.head(self.words(words).masked_scatter(places[..., None], features)) * room


def test_a_number_that_the_code_only_checks_may_depend_on_a_size() -> None:
    inputs = torch.tensor([[0, 3, 0, 5], [2, 0, 0, 1]]), torch.randn(4, 6)
    model = Described().eval()
    network = trace(model, inputs)

    (group,) = network.groups
    assert group.size == 8
    verify(model, remove(model, network, [range(3)]), network, [range(3)], inputs)
    assert not trace(Described(checked=False).eval(), inputs).groups
