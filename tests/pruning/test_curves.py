import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.calibration.sampling import Sampler
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.least_squares import damping
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from tests.topologies import TOPOLOGIES, Traced, images, traced

EVERYTHING = Sampler(per_input=10**6, least=10**9, work=1e18)


def two_layers(hidden: int = 6, seed: int = 0) -> Traced:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, hidden), nn.Tanh(), nn.Linear(hidden, 3)).eval()
    x = torch.randn(300, 4)
    return Traced("two_layers", model, x, trace(model, x))


def residual(case: Traced, kept: list[int]) -> float:
    """Error of the outputs from these hidden units, with the pull to the old weights, over the outputs' energy.

    The pull is written as further rows of an ordinary least-squares problem.
    """
    with torch.no_grad():
        hidden = case.model[1](case.model[0](case.example_inputs)).double()
        target = case.model(case.example_inputs).double()
    x, y = ((value - value.mean(0)) / len(value) ** 0.5 for value in (hidden, target))
    pull = (damping(x.shape[1], len(x)) * x.square().sum(0).mean()).sqrt()
    x = torch.cat([x, pull * torch.eye(x.shape[1])])[:, kept]
    y = torch.cat([y, pull * case.model[2].weight.detach().double().T])
    solution = torch.linalg.lstsq(x, y).solution
    return float((x @ solution - y).square().sum() / target.square().mean(0).sum())


@pytest.mark.parametrize("seed", range(5))
def test_errors_are_those_of_exact_least_squares(seed: int) -> None:
    case = two_layers(seed=seed)
    (curve,) = error_curves(case.model, case.network, calibrate(case.model, [case.example_inputs], sampler=EVERYTHING))

    for width in range(1, 7):
        expected = residual(case, curve.order[-width:].tolist())
        assert curve.error[width - 1] == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_first_unit_to_go_is_the_one_that_brute_force_finds(seed: int) -> None:
    case = two_layers(seed=seed)
    (curve,) = error_curves(case.model, case.network, calibrate(case.model, [case.example_inputs], sampler=EVERYTHING))
    left = list(range(6))
    for unit in curve.order[:3]:
        best = min(left, key=lambda gone: residual(case, [other for other in left if other != gone]))
        assert unit == best
        left.remove(best)


def test_a_duplicated_channel_costs_next_to_nothing_and_goes_first() -> None:
    case = two_layers()
    with torch.no_grad():
        case.model[0].weight[5] = case.model[0].weight[2]
        case.model[0].bias[5] = case.model[0].bias[2]
    (curve,) = error_curves(case.model, case.network, calibrate(case.model, [case.example_inputs], sampler=EVERYTHING))

    assert curve.order[0] in (2, 5)
    assert curve.error[4] < 0.01 * curve.error[0]


def test_a_channel_that_nothing_reads_goes_first_and_costs_nothing() -> None:
    case = two_layers()
    with torch.no_grad():
        case.model[2].weight[:, 1] = 0
    (curve,) = error_curves(case.model, case.network, calibrate(case.model, [case.example_inputs]))

    assert curve.order[0] == 1
    assert curve.error[4] == pytest.approx(0.0, abs=1e-9)


def test_channels_that_run_through_a_depthwise_convolution_are_judged_by_who_reads_them_in_the_end() -> None:
    """The pointwise convolution behind does not read unit 1, so it goes first although its weights are the largest."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 4, 1)).eval()
    with torch.no_grad():
        model[0].weight[1] *= 10
        model[2].weight[:, 1] = 0
    x = images(batch=32)
    (curve,) = error_curves(model, trace(model, images()), calibrate(model, [x]))

    assert curve.order[0] == 1
    assert curve.error[4] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("calibrated", [True, False])
def test_curves_end_at_zero_and_never_rise_with_the_width(calibrated: bool) -> None:
    for name in sorted(TOPOLOGIES):
        case = traced(name)
        inputs = case.example_inputs
        if isinstance(inputs, dict) or not case.network.groups:
            continue
        record = calibrate(case.model, [inputs], sampler=Sampler(least=64)) if calibrated else None
        for group, curve in zip(case.network.groups, error_curves(case.model, case.network, record), strict=True):
            assert sorted(curve.order.tolist()) == list(range(group.size)), name
            assert len(curve.error) == group.size
            assert curve.error[-1] == 0
            assert (np.diff(curve.error) <= 0).all(), name
            assert np.isfinite(curve.error).all()


def test_the_network_is_not_changed() -> None:
    case = traced("residual")
    before = {name: value.clone() for name, value in case.model.state_dict().items()}

    error_curves(case.model, case.network, calibrate(case.model, [images(batch=32)]))

    assert all(torch.equal(value, before[name]) for name, value in case.model.state_dict().items())


def test_allocation_is_the_best_of_all_plans_up_to_one_step() -> None:
    """Brute force over all widths of three small groups under a limit on parameters."""
    case = traced("flatten_linear")
    curves = error_curves(case.model, case.network, calibrate(case.model, [images(batch=64)]))
    projection = Projection.build(case.network, "params<=50%")
    widths = Allocation.build(projection, curves).widths()

    def total(chosen: np.ndarray) -> float:
        return sum(curve.error[width - 1] for curve, width in zip(curves, chosen, strict=True))

    best = min(
        total(np.array(chosen))
        for chosen in ((a, b) for a in range(1, 7) for b in range(1, 11))
        if projection.holds(np.array(chosen))
    )
    assert projection.holds(widths)
    assert total(widths) <= 1.35 * best + 1e-9


@pytest.mark.parametrize("limit", ["macs<=30%", "macs<=60%, params<=50%", "params<=40%"])
def test_allocations_meet_their_limits_and_rules(limit: str) -> None:
    case = traced("residual")
    curves = error_curves(case.model, case.network, calibrate(case.model, [images(batch=64)]))
    projection = Projection.build(case.network, limit, WidthRules(min_width=2, round_to=2))

    widths = Allocation.build(projection, curves).widths()

    assert projection.holds(widths)
    assert (widths % 2 == 0).all()


def test_the_plan_keeps_the_units_that_the_curves_keep() -> None:
    case = traced("residual")
    curves = error_curves(case.model, case.network, calibrate(case.model, [images(batch=64)]))
    widths = Allocation.build(Projection.build(case.network, "macs<=50%"), curves).widths()
    plan = Plan.of_widths(case.network, widths, [curve.order for curve in curves])

    assert plan.kept is not None
    for curve, width, kept in zip(curves, plan.widths, plan.kept, strict=True):
        assert sorted(curve.order[-width:].tolist()) == list(kept)


def test_without_calibration_units_go_by_the_norm_of_their_weights() -> None:
    """Weights 1, 1, 0.1 and 1 on both sides: unit 2 goes first and holds 0.01 of 3.01 shares."""
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        for weight in (model[0].weight, model[1].weight.T):
            weight.fill_(1.0)
            weight[2] = 0.1
    (curve,) = error_curves(model, trace(model, torch.randn(2, 5)), None)

    assert curve.order[0] == 2
    assert curve.error[2] == pytest.approx(0.01 / 3.01)
    assert curve.error[1] == pytest.approx(1.01 / 3.01)
