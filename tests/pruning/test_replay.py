"""The end of a network, computed from a cut on, is what the whole network computes."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.odd_networks import images, random_network
from gnnrl.pruning.calibration.batches import Feed
from gnnrl.pruning.replay import Replay
from tests.topologies import TOPOLOGIES, topology


def last_weight(model: nn.Module, replay: Replay) -> str:
    """The parameter whose first use is the last."""
    known = {name for name, _ in model.named_parameters()}
    return max((name for name in replay.uses if name in known), key=lambda name: replay.uses[name])


@pytest.mark.parametrize("name", sorted(TOPOLOGIES)[:40])
def test_the_end_with_another_weight_is_that_of_the_whole_network(name: str) -> None:
    case = topology(name)
    inputs = case.example_inputs if isinstance(case.example_inputs, tuple) else (case.example_inputs,)
    if not all(isinstance(value, Tensor) for value in inputs):
        pytest.skip("inputs that are not tensors alone")
    replay = Replay.record(case.model, Feed.like(case.example_inputs), inputs)
    weight = last_weight(case.model, replay)
    with torch.no_grad():
        case.model.get_parameter(weight).mul_(1.5)
        found = [replay.end(replay.uses[weight]), replay.end(replay.uses[weight])]
        expected = case.model(*inputs)

    for outputs in found:
        torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_odd_networks_are_cut_or_computed_as_a_whole(seed: int) -> None:
    model, x = random_network(seed), images(8, seed)
    replay = Replay.record(model, Feed(), [x])
    weights = sorted((name for name in replay.uses if name.endswith("weight")), key=lambda name: replay.uses[name])

    for name in weights:
        with torch.no_grad():
            before = model.get_parameter(name).clone()
            model.get_parameter(name).mul_(1.2)
            found, expected = replay.end(replay.uses[name]), model(x.clone())
            model.get_parameter(name).copy_(before)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_calls_before_the_cut_are_not_computed() -> None:
    computed = []

    class Counted(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            computed.append(getattr(func, "__name__", ""))
            return func(*args, **(kwargs or {}))

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)).eval()
    replay = Replay.record(model, Feed(), [torch.randn(2, 3, 9, 9)])
    replay.end(replay.uses["4.weight"])
    with Counted():
        replay.end(replay.uses["4.weight"])

    assert computed.count("conv2d") == 1


class Slicing(nn.Module):
    """Two views of one tensor, one of which is written to behind the cut."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        whole = self.a(x)
        left, right = whole[:, :4], whole[:, 4:]
        left.add_(self.b(right))
        found: Tensor = F.relu(whole)
        return found


def test_views_of_one_tensor_stay_views_of_one_tensor() -> None:
    torch.manual_seed(0)
    model, x = Slicing().eval(), torch.randn(5, 4)
    replay = Replay.record(model, Feed(), [x])

    found = [replay.end(replay.uses["b.weight"]) for _ in range(3)]

    assert replay.exact
    for outputs in found:
        torch.testing.assert_close(outputs, replay.outputs, rtol=0, atol=0)
