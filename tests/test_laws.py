"""Laws that hold for every topology and every plan.

1. The predicted size is the real size.
2. Removing channels is zeroing them (inside a normalisation over channels: leaving them out).
3. The result is a network like any other, and the input model is as it was.
"""

import copy
import zlib
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.modules.attention import NarrowMultiheadAttention
from gnnrl.network.cost import Budget, measure
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.counting import count_macs
from gnnrl.pruning.importance import importance
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from gnnrl.pruning.verification import mask, verify
from tests.laws import LeaveOut, double, run
from tests.topologies import NOTHING_TO_PRUNE, TOPOLOGIES, Traced, fresh, topology, traced

PRUNABLE = sorted(set(TOPOLOGIES) - NOTHING_TO_PRUNE)


PLANS = ("uniform", "ranked", "narrowest", "one_group")


def halfway(network: Network) -> Budget:
    """Half of the MACs, or half the way where the narrowest network is larger."""
    narrowest = network.cost.measure(np.ones_like(network.widths)).macs
    return Budget((("macs", (max(narrowest, 0) + network.cost.measure(network.widths).macs) // 2),))


def plan_of(case: Traced, kind: str) -> Plan:
    network = case.network
    random = importance("random", case.model, network, seed=zlib.crc32(case.name.encode()))
    if kind == "uniform":
        return Plan.uniform(network, halfway(network)).with_kept(importance("l2", case.model, network))
    if kind == "ranked":
        return Plan.ranked(network, halfway(network), random)
    widths = np.ones_like(network.widths)
    if kind == "one_group":
        widths = network.widths.copy()
        chosen = zlib.crc32(case.name.encode()) % len(widths)
        widths[chosen] = max(1, widths[chosen] // 2)
    return Plan.of_widths(network, widths).with_kept(random)


@cache
def pruned(name: str, kind: str) -> tuple[Traced, Plan, nn.Module]:
    """A topology, a plan and the small network; nobody may change it."""
    case = traced(name)
    plan = plan_of(case, kind)
    assert plan.kept is not None
    return case, plan, remove(case.model, case.network, plan.kept)


@pytest.fixture(params=[(name, kind) for name in PRUNABLE for kind in PLANS], ids="-".join)
def small(request: pytest.FixtureRequest) -> tuple[Traced, Plan, nn.Module]:
    return pruned(*request.param)


def test_predicted_size_is_the_real_size(small: tuple[Traced, Plan, nn.Module]) -> None:
    case, plan, model = small

    assert measure(case.network, plan) == measure(trace(model, case.example_inputs))


def test_counted_macs_and_parameters_are_the_predicted_ones(small: tuple[Traced, Plan, nn.Module]) -> None:
    case, plan, model = small
    predicted = measure(case.network, plan)

    assert count_macs(model, case.example_inputs) == predicted.macs * case.network.batch_size
    assert sum(parameter.numel() for parameter in model.parameters()) == predicted.params


def test_removing_is_zeroing(small: tuple[Traced, Plan, nn.Module]) -> None:
    case, plan, model = small
    assert plan.kept is not None
    inputs = double(case.example_inputs)
    masked = mask(case.model, case.network, plan.kept).double()

    with torch.no_grad():
        output = run(copy.deepcopy(model).double(), inputs)
        with LeaveOut():
            expected = run(masked, inputs)

    for a, b in zip(output, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * max(float(b.abs().max()), 1.0))


def test_pruned_networks_train(small: tuple[Traced, Plan, nn.Module]) -> None:
    case, _, model = small
    model = copy.deepcopy(model).train()
    unused = {name for name, _ in model.named_parameters() if name.startswith(("training_only", "threshold"))}

    sum(value.float().square().mean() for value in run(model, case.example_inputs)).backward()

    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == {name for name, _ in model.named_parameters()} - unused
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in model.parameters())


def test_pruned_networks_are_of_the_same_class_with_the_same_keys(small: tuple[Traced, Plan, nn.Module]) -> None:
    case, _, model = small

    classes = [(type(a), type(b)) for a, b in zip(model.modules(), case.model.modules(), strict=True)]
    assert all(a is b or (a, b) == (NarrowMultiheadAttention, nn.MultiheadAttention) for a, b in classes)
    assert list(model.state_dict()) == list(case.model.state_dict())


def test_verification_accepts_what_surgery_made(small: tuple[Traced, Plan, nn.Module]) -> None:
    case, plan, model = small
    assert plan.kept is not None

    found = verify(case.model, model, case.network, plan.kept, case.example_inputs)

    assert found.macs == measure(case.network, plan).macs
    assert found.difference is not None
    assert found.difference <= 1e-5


@pytest.mark.parametrize("name", PRUNABLE)
def test_pruned_networks_can_be_pruned_again(name: str) -> None:
    case, _, model = pruned(name, "uniform")
    network = trace(model, case.example_inputs)
    kept = [np.arange((group.size + 1) // 2) for group in network.groups]

    again = remove(model, network, kept)

    verify(model, again, network, kept, case.example_inputs)
    assert measure(trace(again, case.example_inputs)) == measure(network, [len(units) for units in kept])


@pytest.mark.parametrize("name", sorted(TOPOLOGIES))
def test_input_model_is_untouched(name: str) -> None:
    case = topology(name)
    model, twin = case.model, fresh(case)
    children = [module for module in model.modules() if not list(module.children())]
    children[0].train()
    parameters = list(model.parameters())
    parameters[0].grad = torch.ones_like(parameters[0])
    parameters[-1].requires_grad_(False)
    attributes = [dict(vars(module)) for module in children]

    network = trace(model, case.example_inputs)
    kept = [np.arange((group.size + 1) // 2) for group in network.groups]
    remove(model, network, kept)

    assert children[0].training
    assert not model.training
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert torch.equal(parameters[0].grad, torch.ones_like(parameters[0]))
    assert [parameter.requires_grad for parameter in parameters] == [True] * (len(parameters) - 1) + [False]
    for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    plain = (int, tuple, bool)
    for module, before in zip(children, attributes, strict=True):
        assert {k: v for k, v in vars(module).items() if isinstance(v, plain)} == {
            k: v for k, v in before.items() if isinstance(v, plain)
        }
    with torch.no_grad():
        for a, b in zip(run(model.eval(), case.example_inputs), run(twin.eval(), case.example_inputs), strict=True):
            assert torch.equal(a, b)


def test_sizes_of_the_dense_network_are_those_of_the_model(case: Traced) -> None:
    cost = measure(case.network)
    stored = [*case.model.parameters(), *case.model.buffers()]

    assert cost.macs * case.network.batch_size == count_macs(case.model, case.example_inputs)
    assert cost.params == sum(parameter.numel() for parameter in case.model.parameters())
    assert cost.bytes == sum(tensor.numel() * tensor.element_size() for tensor in stored)


def test_every_position_belongs_to_one_unit_or_is_fixed(case: Traced) -> None:
    network = case.network
    seen = {key: np.zeros(len(owner), int) for key, owner in network.owners.items()}

    for group in network.groups:
        for place in group.places:
            owner = network.owners[place.tensor, place.dim]
            numbers = network.offsets[group.index] + np.arange(group.size)
            assert (owner[place.positions] == numbers[:, None]).all()
            seen[place.tensor, place.dim][place.positions] += 1

    for key, owner in network.owners.items():
        assert (seen[key] == (owner > 0)).all()


def test_whatever_is_frozen_says_why(case: Traced) -> None:
    assert all(group.reasons and str(group.reasons[0]) for group in case.network.frozen)


def test_outputs_keep_their_shape(case: Traced) -> None:
    kept = [[0]] * len(case.network.groups)
    dense, narrow = (
        run(case.model, case.example_inputs),
        run(remove(case.model, case.network, kept), case.example_inputs),
    )

    assert [value.shape for value in narrow] == [value.shape for value in dense]


@pytest.mark.parametrize("name", PRUNABLE)
@pytest.mark.parametrize("metric", ["macs", "params", "bytes", "activations"])
def test_projection_meets_its_limit_and_gives_back_all_that_fits(name: str, metric: str) -> None:
    network = traced(name).network
    dense, floor = (
        getattr(network.cost.measure(widths), metric) for widths in (network.widths, np.ones_like(network.widths))
    )
    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        limit = int(floor + share * (dense - floor))
        projection = Projection.build(network, Budget(((metric, limit),)), WidthRules())
        widths = projection.of_logits(rng.normal(0, 2, len(network.widths)))
        assert (widths >= 1).all()
        assert (widths <= network.widths).all()
        assert projection.holds(widths)
        for group in range(len(widths)):
            wider = widths.copy()
            wider[group] += 1
            assert widths[group] == network.widths[group] or not projection.holds(wider)
