"""Rehearsals: the dense network with data, and on fake tensors."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.tracing.rehearsal import Rehearsal, own_random_numbers


class Net(nn.Module):
    def __init__(self, reads_shape: bool) -> None:
        super().__init__()
        self.layer, self.reads_shape = nn.Linear(6, 4), reads_shape
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.count += 1
        if self.reads_shape:
            torch._shape_as_tensor(x)
        x = self.layer(x)
        return {"features": x, "logits": x.relu()[:, :2]}


def test_a_rehearsal_changes_nothing_and_logs_the_calls() -> None:
    model = Net(reads_shape=False).eval()
    rehearsal = Rehearsal(model, (torch.randn(3, 6),), {}, ["logits"])

    assert rehearsal.shapes == [(3, 2)]
    assert rehearsal.counted == (1,)
    assert ("linear", (3, 4)) in rehearsal.calls.shapes
    assert rehearsal.fake_calls is not None
    assert rehearsal.fake_calls.shapes == rehearsal.calls.shapes
    assert not model.count


def test_a_network_without_fake_kernels_has_no_calls_on_fake_tensors() -> None:
    assert Rehearsal(Net(reads_shape=True).eval(), (torch.randn(3, 6),), {}).fake_calls is None


@pytest.mark.parametrize("fails", [False, True])
def test_random_numbers_are_those_of_before(fails: bool) -> None:
    before = torch.get_rng_state()
    numpy_before = np.random.get_state()[1].tolist()

    try:
        with own_random_numbers():
            torch.rand(3), np.random.rand(3)
            if fails:
                raise ValueError
    except ValueError:
        assert fails

    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == numpy_before


class Anchored(nn.Module):
    """Makes a table on its first call, as the head of YOLO makes anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.anchors = nn.Linear(6, 4), None

    def forward(self, x: Tensor) -> Tensor:
        if self.anchors is None:
            self.anchors = torch.arange(4) * 2.0
        return self.layer(x) + self.anchors


def test_a_later_run_makes_the_tables_of_a_first_run_again() -> None:
    rehearsal = Rehearsal(Anchored().eval(), (torch.randn(3, 6),), {})
    first = rehearsal.calls.shapes
    rehearsal.run()

    assert "arange" in [name for name, _ in first]
    assert rehearsal.calls.shapes == first
