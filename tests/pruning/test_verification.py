import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.errors import ArtifactError, ConfigError, GnnrlWarning, VerificationError
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.counting import count_macs
from gnnrl.pruning.importance import importance
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.pruner import prune
from gnnrl.pruning.verification import mask, verify
from tests.topologies import images, traced

CASE = traced("residual")
KEPT = [np.arange(6), np.arange(5), np.arange(4)]


def small() -> nn.Module:
    return remove(CASE.model, CASE.network, KEPT)


def test_what_surgery_made_is_accepted() -> None:
    found = verify(CASE.model, small(), CASE.network, KEPT, CASE.example_inputs)

    assert found.difference is not None
    assert found.difference < 1e-5
    assert found.params == sum(parameter.numel() for parameter in small().parameters())


@pytest.mark.parametrize("share", [1.01, 0.0])
def test_a_changed_weight_is_caught(share: float) -> None:
    changed = small()
    with torch.no_grad():
        changed[3].linear.weight[:, 0] *= share

    with pytest.raises(VerificationError, match="differs from the masked dense one"):
        verify(CASE.model, changed, CASE.network, KEPT, CASE.example_inputs)


def test_other_units_than_planned_are_caught() -> None:
    with pytest.raises(VerificationError, match="differs"):
        verify(CASE.model, small(), CASE.network, [[0, 1, 2, 3, 4, 7], *KEPT[1:]], CASE.example_inputs)


def test_another_size_is_caught() -> None:
    with pytest.raises(VerificationError, match=r"MACs and .* parameters, the plan promised"):
        verify(CASE.model, small(), CASE.network, [np.arange(7), *KEPT[1:]], CASE.example_inputs)


def test_another_output_shape_is_caught() -> None:
    changed = small()
    changed[3].linear = nn.Linear(6, 4)

    with pytest.raises(VerificationError, match="returns"):
        verify(CASE.model, changed, CASE.network, KEPT, CASE.example_inputs)


def test_an_output_that_is_not_finite_is_caught() -> None:
    changed = small()
    with torch.no_grad():
        changed[3].linear.bias[0] = float("nan")

    with pytest.raises(VerificationError):
        verify(CASE.model, changed, CASE.network, KEPT, CASE.example_inputs)


def test_masking_leaves_the_dense_network_alone_and_zeroes_what_goes() -> None:
    before = copy.deepcopy(CASE.model.state_dict())
    masked = mask(CASE.model, CASE.network, KEPT)

    assert not masked[0][0].weight[6:].any()
    assert torch.equal(masked[0][0].weight[:6], CASE.model[0][0].weight[:6])
    assert all(torch.equal(value, before[name]) for name, value in CASE.model.state_dict().items())


def test_macs_are_half_of_the_counted_flops() -> None:
    """One image: 8 x 8 positions, 3 x 3 kernel, 3 to 5 channels."""
    assert count_macs(nn.Conv2d(3, 5, 3, padding=1), images(batch=1)) == 64 * 9 * 3 * 5


def test_attention_is_counted_in_every_form() -> None:
    """16 positions of width 8: three projections, weights, values, and the projection of the output."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()

    class Self(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Any:
            return self.layer(x, x, x, need_weights=False)[0]

    assert count_macs(Self(), torch.randn(1, 16, 8)) == 4 * 16 * 8 * 8 + 2 * 16 * 16 * 8
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("btc,bsc->bts", [(2, 16, 3), (2, 16, 3)], 2 * 16 * 16 * 3),
        ("btc,bsc->bts", [(2, 16, 1), (2, 16, 1)], 2 * 16 * 16),
        ("b t c, b ... c -> b t ...", [(2, 16, 1), (2, 16, 1)], 2 * 16 * 16),
        ("btc,btc->btc", [(2, 16, 1), (2, 16, 1)], 0),
        ("btc,bs->bt", [(2, 16, 3), (2, 4)], 0),
        ("btcj,cs->bts", [(2, 16, 3, 7), (3, 4)], 2 * 16 * 3 * 4),
        ("bchw->bc", [(2, 16, 3, 7)], 0),
        ("bchw,bchw->bc", [(2, 16, 3, 7), (2, 16, 1, 1)], 0),
        ("bic,bjc->bij", [(2, 16, 3), (2, 5, 1)], 0),
        ("bci,bcj->bij", [(2, 3, 16), (2, 3, 5)], 2 * 16 * 5 * 3),
    ],
)
def test_equations_are_counted_and_predicted_alike(equation: str, shapes: list[tuple[int, ...]], macs: int) -> None:
    """Also over one channel, where torch multiplies element by element; what is summed before is not multiplied."""

    class Equation(nn.Module):
        def forward(self, *operands: Tensor) -> Tensor:
            return torch.einsum(equation, *operands)

    inputs = tuple(torch.randn(shape) for shape in shapes)

    assert count_macs(Equation(), inputs) == macs
    assert trace(Equation(), inputs).cost.measure([]).macs * 2 == macs


def test_prune_goes_the_whole_way_and_leaves_the_model_alone() -> None:
    plan = Plan.uniform(CASE.network, "macs<=50%")
    before = copy.deepcopy(CASE.model.state_dict())

    found = prune(CASE.model, CASE.example_inputs, plan)
    repaired = prune(CASE.model, CASE.example_inputs, plan, network=CASE.network, calibration=[images(batch=64)])

    assert found[0][0].weight.shape[0] == plan.widths[0]
    x = images(batch=64)
    with torch.no_grad():
        errors = [float((model(x) - CASE.model(x)).square().mean()) for model in (found, repaired)]
    assert errors[1] < errors[0]
    assert all(torch.equal(value, before[name]) for name, value in CASE.model.state_dict().items())


def test_prune_refuses_plans_of_other_networks_and_unknown_repairs() -> None:
    plan = Plan.uniform(CASE.network, "macs<=50%")

    with pytest.raises(ArtifactError, match="another network"):
        prune(traced("chain").model, images(), plan)
    with pytest.raises(ConfigError, match="unknown repair 'magic'; choose one of none, bn, ls"):
        prune(CASE.model, images(), plan, repair_by="magic")


class Noisy(nn.Module):
    """Drops channels of a hidden layer at random, also in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 12), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.dropout(self.body(x), 0.5, training=True))


def test_a_network_that_draws_random_numbers_is_compared_within_their_noise() -> None:
    model, x = Noisy(), torch.randn(5, 4)
    network = trace(model, x)
    plan = Plan.uniform(network, "params<=60%").with_kept(importance("l2", model, network))
    small = remove(model, network, plan.kept)

    with pytest.warns(GnnrlWarning, match="draws random numbers in evaluation mode"):
        verification = verify(model, small, network, plan.kept, x)
    assert verification.difference > 0
    small.head.weight.data += 100
    with pytest.warns(GnnrlWarning), pytest.raises(VerificationError, match="differs from the masked"):
        verify(model, small, network, plan.kept, x)


def test_a_spectral_norm_survives_pruning_in_training_mode() -> None:
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(4, 12))
    model, x = nn.Sequential(layer, nn.Linear(12, 3)).train(), torch.randn(5, 4)

    small = prune(model, x, Plan.uniform(trace(model, x), "params<=60%"))

    assert small[0].out_features < 12
    assert small.training


class Scaled(nn.Module):
    """Computes with a parameter for each channel, which is never zero, between two layers."""

    def __init__(self, compute: Any) -> None:
        super().__init__()
        self.first, self.second, self.compute = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), compute
        self.scale = nn.Parameter(torch.rand(8) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.compute(self.first(x), self.scale.view(-1, 1, 1)))


@pytest.mark.parametrize(
    "compute",
    [
        lambda x, scale: x / scale,
        lambda x, scale: (x / scale).round() * scale,
        lambda x, scale: x * (scale * 1.0).rsqrt(),
        lambda x, scale: x * scale**-2,
        lambda x, scale: x + torch.sin(scale * x) ** 2 / scale,
        lambda x, scale: F.softplus(scale * x) / scale.sqrt(),
        lambda x, scale: x * scale.log(),
    ],
)
def test_a_division_by_a_parameter_of_removed_channels_is_no_difference(compute: Any) -> None:
    torch.manual_seed(0)
    model = Scaled(compute).eval()
    network = trace(model, images())

    small = prune(model, images(), Plan.uniform(network, "macs<=60%"), network=network)

    assert small.scale.numel() < 8


def test_a_weight_that_is_divided_by_its_own_length_is_masked() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.weight / (self.weight.std((1, 2, 3), keepdim=True) + 1e-5), self.bias)

    model = nn.Sequential(Standardised(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    network = trace(model, images())
    kept = [np.arange(group.size - 1) for group in network.groups]

    masked: Any = mask(model, network, kept)

    assert kept
    assert not masked[0].weight[-1].any()


def test_a_network_that_does_not_run_is_refused_with_its_own_error() -> None:
    broken = small()
    broken[0] = nn.Linear(7, 7)

    with pytest.raises(VerificationError, match="the pruned network does not run: ") as refused:
        verify(CASE.model, broken, CASE.network, KEPT, CASE.example_inputs)
    assert isinstance(refused.value.__cause__, RuntimeError)


class DividedByLength(nn.Module):
    """Divides each channel by its own length, which is zero in a masked channel."""

    def __init__(self) -> None:
        super().__init__()
        self.make, self.read = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.make(x)
        return self.read(y / y.flatten(2).norm(dim=2)[..., None, None])


def test_a_masked_network_that_divides_by_zero_is_no_reason_to_refuse() -> None:
    model = DividedByLength().eval()
    network = trace(model, images())
    kept = [np.arange(4)]

    assert verify(model, remove(model, network, kept), network, kept, images()).difference is None
