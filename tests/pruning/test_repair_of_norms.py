"""Normalisations in repair: statistics, scales, and networks without any."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gnnrl
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.reconstruction import REPAIRS, Repair, repair
from tests.pruning.repairs import EXACT, error, pruned
from tests.topologies import images, randomise, traced


def test_batch_normalisation_alone_takes_the_statistics_of_the_small_network() -> None:
    case = traced("chain")
    x = images(batch=64)
    small, kept = pruned(case)
    weights = copy.deepcopy(small.state_dict())

    repair(small, case.network, kept, calibrate(case.model, [x]), REPAIRS["bn"])

    with torch.no_grad():
        first = small[0][0](x)
    torch.testing.assert_close(small[0][1].running_mean, first.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(small[0][1].running_var, first.var((0, 2, 3), correction=0), rtol=1e-4, atol=1e-5)
    for name, value in small.state_dict().items():
        assert torch.equal(value, weights[name]) or "running" in name


@pytest.mark.parametrize("new_variance", [False, True])
def test_the_variance_after_a_solved_layer_is_the_dense_one_unless_asked_for(new_variance: bool) -> None:
    case = traced("chain")
    x = images(batch=64)
    small, kept = pruned(case)
    dense = small[0][1].running_var.clone()

    repair(small, case.network, kept, calibrate(case.model, [x]), Repair(new_variance=new_variance))

    with torch.no_grad():
        found = small[0][0](x).var((0, 2, 3), correction=0)
    torch.testing.assert_close(small[0][1].running_var, found if new_variance else dense, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["group_norm", "layer_norm_mlp", "layer_scale", "attention"])
def test_networks_without_batch_normalisation_are_repaired(name: str) -> None:
    case = traced(name)
    assert isinstance(case.example_inputs, Tensor)
    torch.manual_seed(0)
    x, unseen = (torch.randn(batch, *case.example_inputs.shape[1:]) for batch in (256, 64))
    small, kept = pruned(case, 0.7)
    before = error(small, case.model, unseen)

    repair(small, case.network, kept, calibrate(case.model, [x]))

    assert error(small, case.model, unseen) < 0.9 * before


def test_the_scale_of_a_group_normalisation_comes_back_to_the_dense_output() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    randomise(model)
    x = images(batch=64)
    network = trace(model, images())
    kept = [np.arange(group.size) for group in network.groups]
    small = remove(model, network, kept)
    with torch.no_grad():
        small[1].weight *= 2
        small[1].bias += 1

    repair(small, network, kept, calibrate(model, [x]), EXACT)

    torch.testing.assert_close(small[1].weight, model[1].weight, rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(small[1].bias, model[1].bias, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("permuted", [False, True])
def test_a_branch_with_a_layer_scale_is_solved_for_the_stream(permuted: bool) -> None:
    """A block of ConvNeXt, whose channels are last in the branch and second in the stream; the shortcut is off."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.up, self.down = nn.Conv2d(3, 6, 1), nn.Linear(6, 12), nn.Linear(12, 6)
            self.scale = nn.Parameter(torch.tensor([0.3, -0.5, 0.8, 0.2, 0.0, 1.0]))
            self.gain = nn.Parameter(torch.ones(6, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x) * self.gain
            y = self.down(self.up(x.permute(0, 2, 3, 1)).tanh())
            if permuted:
                return x + self.scale[:, None, None] * y.permute(0, 3, 1, 2)
            return x + (y * self.scale).permute(0, 3, 1, 2)

    torch.manual_seed(0)
    model, x = Net().eval(), images(batch=64)
    record = calibrate(model, [x])
    network = trace(model, images())
    kept = [np.arange(max(1, group.size // 2)) for group in network.groups]
    errors = {}
    for stream in (False, True):
        small = remove(model, network, kept)
        with torch.no_grad():
            small.gain *= 1.3
        repair(small, network, kept, record, Repair(stream=stream))
        errors[stream] = error(small, model, x)

    assert record.of_weight("down.weight")[0].branch_target is not None
    assert torch.equal(record.of_weight("down.weight")[0].scale, model.scale.detach())
    assert errors[True] < 0.7 * errors[False]


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_a_layer_with_a_weight_norm_is_solved_as_a_plain_one(norm: Any) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv1d(4, 16, 3), nn.ReLU(), nn.Conv1d(16, 16, 3), nn.ReLU(), nn.Conv1d(16, 3, 3)).eval()
    normed, x = copy.deepcopy(plain), torch.randn(64, 4, 32)
    for number in (0, 2, 4):
        normed[number] = norm(normed[number])
    found = []
    for model in (plain, normed):
        network = gnnrl.trace(model, x[:2])
        record = calibrate(model, [x])
        curves = error_curves(model, network, record)
        plan = gnnrl.Plan.of_widths(network, [8, 8], [curve.order for curve in curves])
        assert plan.kept is not None
        small = remove(model, network, plan.kept)
        assert repair(small, network, plan.kept, record).solved == {layer.name for layer in record.layers.values()}
        found.append((curves, error(small, model, x)))

    (wanted, plain_error), (curves, normed_error) = found
    for curve, like in zip(curves, wanted, strict=True):
        assert curve.error == pytest.approx(like.error, rel=1e-3)
    assert normed_error == pytest.approx(plain_error, rel=0.2)


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.spectral_norm])
def test_a_layer_with_a_spectral_norm_is_left_alone_and_the_one_that_reads_it_is_solved(norm: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), norm(nn.Conv2d(16, 8, 3)), nn.ReLU(), nn.Conv2d(8, 4, 1))
    x = torch.randn(64, 3, 8, 8)
    plan = gnnrl.Plan.uniform(gnnrl.trace(model.eval(), x[:2]), "macs<=60%")

    bare, repaired = (gnnrl.prune(model, x[:2], plan, calibration=data) for data in (None, [x]))

    assert torch.equal(bare[2].weight, repaired[2].weight)
    assert not torch.equal(bare[4].weight, repaired[4].weight)
    assert error(repaired, model, x) < 0.9 * error(bare, model, x)
