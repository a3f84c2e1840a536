from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.pruning.calibration.watch import Watch
from tests.pruning.calibration.notes import Notes, watched


def test_calls_are_seen_whoever_makes_them_and_numbered_in_order() -> None:
    weight = torch.randn(4, 3, 1, 1)

    def run(x: Tensor) -> Tensor:
        x = F.conv2d(x, weight)
        x = torch.conv2d(x, torch.randn(2, 4, 1, 1), stride=2)
        return F.linear(x.flatten(1), torch.randn(5, x[0].numel()))

    calls = watched(run, torch.randn(2, 3, 4, 4)).layers

    assert [(call.order, call.kind) for call in calls] == [(0, "conv2d"), (1, "conv2d"), (2, "linear")]
    assert calls[0].weight is weight
    assert calls[1].arguments["stride"] == 2


def test_a_watched_network_computes_what_it_computes() -> None:
    from tests.topologies import traced

    for name in ("residual", "dense_block", "depthwise", "bottleneck", "attention", "convolutions_3d", "unet"):
        case = traced(name)
        with torch.no_grad():
            expected = case.model(case.example_inputs)
            with Watch(Notes().observer):
                found = case.model(case.example_inputs)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_normalisation_knows_the_layer_it_directly_follows() -> None:
    conv, norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4).eval()

    direct = watched(lambda x: norm(conv(x)), torch.randn(2, 3, 4, 4))
    apart = watched(lambda x: norm(conv(x).relu()), torch.randn(2, 3, 4, 4))

    assert direct.norms == direct.layers
    assert direct.layers[0].norm is not None
    assert apart.norms == [None]
    assert apart.layers[0].norm is None


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda y: y, True),
        (lambda y: y.relu(), False),
        (lambda y: y.relu_(), False),
        (lambda y: y.mul_(2), False),
        (lambda y: y.clone(), False),
    ],
    ids=["nothing", "relu", "relu in place", "mul in place", "clone"],
)
def test_an_origin_is_lost_as_soon_as_the_tensor_is_another(change: Any, seen: bool) -> None:
    conv = nn.Conv2d(3, 3, 1)

    notes = watched(lambda x: change(conv(x)) + x, torch.randn(2, 3, 4, 4))

    assert notes.additions == ([(0, 0)] if seen else [])


@pytest.mark.parametrize("add", [torch.add, lambda a, b: a + b, lambda a, b: a.add_(b), lambda a, b: a.__iadd__(b)])
def test_additions_are_seen_however_they_are_written(add: Any) -> None:
    a, b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    assert watched(lambda x: add(b(x), x), torch.randn(2, 3, 4, 4)).additions == [(0, 0)]
    assert watched(lambda x: add(a(x), b(x)), torch.randn(2, 3, 4, 4)).additions == [(0, 1)]


def test_additions_of_scalars_of_other_shapes_and_of_a_tensor_to_itself_are_not_branches() -> None:
    conv = nn.Conv2d(3, 3, 1)

    for run in (lambda x: conv(x) + 1, lambda x: conv(x) + x[:1], lambda x: (lambda y: y + y)(conv(x))):
        assert watched(run, torch.randn(2, 3, 4, 4)).additions == []


def test_origins_do_not_outlive_their_tensors() -> None:
    conv, notes = nn.Conv2d(3, 3, 1), Notes()
    watch = Watch(notes.observer)
    with torch.no_grad(), watch:
        for _ in range(5):
            conv(torch.randn(2, 3, 4, 4))

    assert len(watch._origins) <= 1


@pytest.mark.parametrize(
    ("run", "reads"),
    [
        (lambda y, x: y + x, 1),
        (lambda y, x: (y.permute(0, 2, 3, 1) * torch.ones(3)).permute(0, 3, 1, 2) + x, 1),
        (lambda y, x: F.batch_norm(y, torch.zeros(3), torch.ones(3), torch.ones(3)) + x, 1),
        (lambda y, x: y.view(y.shape) + x, 1),
        (lambda y, x: y + x + y, 2),
        (lambda y, x: torch.cat([y + x, y]), 2),
        (lambda y, x: y + x * y.mean(), 2),
        (lambda y, x: torch.add(input=y, other=x), 1),
    ],
    ids=["addition", "layer scale", "norm", "view", "twice", "list", "mean", "by name"],
)
def test_all_readers_of_an_output_are_counted(run: Any, reads: int) -> None:
    conv = nn.Conv2d(3, 3, 1)

    (call,) = watched(lambda x: run(conv(x), x), torch.randn(2, 3, 4, 4)).layers

    assert call.reads == reads
