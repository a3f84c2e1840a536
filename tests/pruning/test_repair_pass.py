import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.calibration.sampling import Sampler
from gnnrl.pruning.reconstruction import Repair, repair
from tests.pruning.repairs import EXACT, error, pruned
from tests.topologies import TOPOLOGIES, Traced, conv, images, randomise, topology, traced


def dependent() -> tuple[Traced, list[list[int]]]:
    """Channel 3 of the first layer is channel 0 plus two times channel 1, always."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 2, 1)).eval()
    with torch.no_grad():
        model[0].weight[3] = model[0].weight[0] + 2 * model[0].weight[1]
        model[0].bias[3] = model[0].bias[0] + 2 * model[0].bias[1]
    x = images(batch=64)
    return Traced("dependent", model, x, trace(model, images())), [[0, 1, 2], list(range(5))]


def test_a_channel_that_the_others_contain_is_repaired_without_error() -> None:
    case, kept = dependent()
    small = remove(case.model, case.network, kept)
    before = error(small, case.model, case.example_inputs)

    repair(small, case.network, kept, calibrate(case.model, [case.example_inputs]), EXACT)

    assert before > 0.05
    assert error(small, case.model, case.example_inputs) < 1e-5  # what the pull towards the old weights leaves
    with torch.no_grad():
        expected = (
            case.model[1].weight[:, :3] + case.model[1].weight[:, [3, 3, 3]] * torch.tensor([1.0, 2, 0])[:, None, None]
        )
    torch.testing.assert_close(small[1].weight, expected, rtol=1e-2, atol=5e-3)


def test_repair_is_the_least_squares_solution() -> None:
    """One linear layer after a narrowed one: compare with torch.linalg.lstsq."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    x = torch.randn(400, 6)
    kept = [[0, 2, 3, 7]]
    network = trace(model, x)
    small = remove(model, network, kept)

    repair(small, network, kept, calibrate(model, [x]), Repair(ridge=0.0))

    with torch.no_grad():
        hidden = torch.cat([small[1](small[0](x)), torch.ones(400, 1)], 1)
        solution = torch.linalg.lstsq(hidden, model(x)).solution.T
        best = (hidden @ solution.T - model(x)).square().mean()
        found = (small(x) - model(x)).square().mean()
        before = (remove(model, network, kept)(x) - model(x)).square().mean()
    assert found == pytest.approx(float(best), rel=0.02)
    assert found < 0.7 * before


def test_a_block_is_corrected_on_the_residual_stream() -> None:
    """The stream lost what the first block cannot repair; the second block's last layer makes up for some of it."""
    case = traced("residual")
    x = images(batch=128)
    record = calibrate(case.model, [x])
    kept = [np.arange(12), np.arange(1), np.arange(12)]
    errors = {}
    for stream in (False, True):
        small = remove(case.model, case.network, kept)
        repair(small, case.network, kept, record, Repair(stream=stream))
        with torch.no_grad():
            errors[stream] = float((small[:3](x) - case.model[:3](x)).square().mean())

    assert errors[True] < errors[False]


@pytest.mark.parametrize("read", [False, True])
def test_a_branch_may_wait_for_its_addition_only_where_nothing_else_reads_it(read: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.branch = conv(3, 6), conv(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            y = self.branch[1](self.branch[0](x))
            gate = y.mean((2, 3), keepdim=True).sigmoid() if read else 1.0
            return (x + y) * gate

    torch.manual_seed(0)
    model, x = Net(), images(batch=64)
    randomise(model)
    model.eval()
    network, record = trace(model, images()), calibrate(model, [x])
    kept = [np.arange(max(1, group.size // 2)) for group in network.groups]
    small, unhurried = (remove(model, network, kept) for _ in range(2))

    repair(small, network, kept, record)
    (branch,) = record.of_weight("branch.0.weight")
    assert branch.deferrable is not read
    branch.deferrable = False
    repair(unhurried, network, kept, record)

    for name, value in small.state_dict().items():
        torch.testing.assert_close(value, unhurried.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_repair_helps_every_topology_and_leaves_it_finite() -> None:
    for name in sorted(TOPOLOGIES):
        case = traced(name)
        if (
            not case.network.groups
            or not isinstance(case.example_inputs, Tensor)
            or not case.example_inputs.is_floating_point()
        ):
            continue
        data = torch.randn(64, *case.example_inputs.shape[1:])
        small, kept = pruned(case)
        repair(small, case.network, kept, calibrate(case.model, [data]))
        assert all(
            bool(torch.isfinite(value).all()) for value in small.state_dict().values() if value.is_floating_point()
        )


@pytest.mark.parametrize(
    "name", ["chain", "residual", "padding_shortcut", "concat", "dense_block", "unet", "depthwise"]
)
def test_repair_lowers_the_error_of_the_output(name: str) -> None:
    case = traced(name)
    x, unseen = images(batch=256), images(batch=64)
    small, kept = pruned(case)
    before = error(small, case.model, unseen)

    repair(small, case.network, kept, calibrate(case.model, [x]))

    assert error(small, case.model, unseen) < before


def test_nothing_changes_where_nothing_was_removed() -> None:
    case = traced("residual")
    x = images(batch=64)
    kept = [np.arange(group.size) for group in case.network.groups]
    small = remove(case.model, case.network, kept)

    repair(small, case.network, kept, calibrate(case.model, [x]))

    assert error(small, case.model, x) < 1e-6


@pytest.mark.parametrize("name", ["shared_module", "tied_convolutions"])
def test_weights_that_are_used_twice_are_left_alone(name: str) -> None:
    case = traced(name)
    small, kept = pruned(case)
    shared = "shared.0.weight" if name == "shared_module" else "1.0.weight"
    before = small.get_parameter(shared).clone()

    repair(small, case.network, kept, calibrate(case.model, [images(batch=64)]))

    assert torch.equal(small.get_parameter(shared), before)


@pytest.mark.parametrize("groups", [2, 6])
def test_grouped_weights_are_solved_group_by_group(groups: int) -> None:
    """The stem computes something else now: a grouped convolution comes back to what it computed before."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 12, 3, groups=groups), nn.Conv2d(12, 3, 1)).eval()
    x = images(batch=64)
    case = Traced("grouped", model, x, trace(model, images()))
    kept = [np.arange(group.size) for group in case.network.groups]
    small, record = remove(model, case.network, kept), calibrate(model, [x])
    with torch.no_grad():
        small[1].weight *= torch.rand(12, 1, 1, 1) + 0.5

    repair(small, case.network, kept, record, EXACT)

    torch.testing.assert_close(small[1].weight, model[1].weight, rtol=1e-2, atol=1e-3)


def test_modes_gradients_and_the_dense_network_are_left_alone() -> None:
    case = topology("residual")
    network = trace(case.model, case.example_inputs)
    dense = copy.deepcopy(case.model.state_dict())
    kept = [np.arange(6)] * 3
    small = remove(case.model, network, kept).train()

    repair(small, network, kept, calibrate(case.model, [images(batch=64)]))

    assert all(module.training for module in small.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in small.parameters())
    assert all(torch.equal(value, dense[name]) for name, value in case.model.state_dict().items())


def test_repair_is_deterministic() -> None:
    case = traced("residual")
    x = images(batch=64)
    found = []
    for _ in range(2):
        small, kept = pruned(case)
        repair(small, case.network, kept, calibrate(case.model, [x]))
        found.append(small.state_dict())

    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_in_other_precisions_are_repaired(dtype: torch.dtype) -> None:
    case = traced("residual")
    model = copy.deepcopy(case.model).to(dtype)
    small, kept = pruned(Traced("other", model, None, case.network))

    repair(small, case.network, kept, calibrate(model, [images(batch=64).to(dtype)]))

    assert {value.dtype for value in small.parameters()} == {dtype}
    assert all(bool(torch.isfinite(value).all()) for value in small.parameters())


def test_half_precision_is_solved_in_single_precision() -> None:
    """Sums over thousands of samples in bfloat16 would be off by percents."""
    case = traced("residual")
    half, x = copy.deepcopy(case.model).bfloat16(), images(batch=128)
    whole, kept = pruned(case)
    small, _ = pruned(Traced("half", half, None, case.network))
    record, rounded = calibrate(case.model, [x]), calibrate(half, [x.bfloat16()])

    repair(whole, case.network, kept, record)
    repair(small, case.network, kept, rounded)

    for order, layer in record.layers.items():
        found = rounded.layers[order].moments
        if layer.moments is not None and found is not None:
            assert found.covariance.dtype == torch.float32
            apart = (found.covariance - layer.moments.covariance).norm()
            assert apart < 0.02 * layer.moments.covariance.norm()
    unseen = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert error(small.float(), case.model, unseen) < 1.2 * error(whole, case.model, unseen) + 1e-3


def test_few_images_do_not_make_it_worse_than_no_repair() -> None:
    """Fewer samples than inputs: the pull towards the old weights is what keeps this sane."""
    torch.manual_seed(0)
    model = nn.Sequential(conv(3, 32), conv(32, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))
    randomise(model)
    model.eval()
    network = trace(model, images())
    kept = [np.arange(16), np.arange(16)]
    raw, small = (remove(model, network, kept) for _ in range(2))

    repair(small, network, kept, calibrate(model, [images(size=4)], sampler=Sampler(least=16)))

    x = images(batch=64)
    assert error(small, model, x) < 1.5 * error(raw, model, x)
