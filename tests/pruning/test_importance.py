import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.errors import ConfigError, DataError, GnnrlError
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.importance import CRITERIA, importance
from tests.topologies import Head, conv, fresh, images, topology, traced


@pytest.fixture
def model() -> nn.Module:
    """Channel 2 of the first layer has weights of a hundredth, and a scale of a hundredth."""
    torch.manual_seed(0)
    model = nn.Sequential(conv(3, 6), conv(6, 4), Head(4)).eval()
    with torch.no_grad():
        for weight in (model[0][0].weight[2], model[0][1].weight[2], model[1][0].weight[:, 2]):
            weight.mul_(0.01)
    return model


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(images(batch=8), torch.arange(8) % 5)]


@pytest.mark.parametrize("criterion", ["l1", "l2", "bn_scale", "taylor"])
def test_the_least_important_channel_is_found(criterion: str, model: nn.Module) -> None:
    scores = importance(criterion, model, trace(model, images()), batches())

    assert [len(score) for score in scores] == [6, 4]
    assert int(scores[0].argmin()) == 2


@pytest.mark.parametrize("criterion", CRITERIA)
def test_scores_are_finite_for_every_topology_that_classifies(criterion: str) -> None:
    for name in ("residual", "concat", "grouped_wide", "dense_block", "shared_module", "prelu", "tied_convolutions"):
        case = traced(name)
        scores = importance(criterion, fresh(case), case.network, batches())
        assert [len(score) for score in scores] == [group.size for group in case.network.groups]
        assert all(np.isfinite(score).all() and (score >= 0).all() for score in scores)


def test_norms_are_relative_to_the_mean_of_the_group(model: nn.Module) -> None:
    for score in importance("l2", model, trace(model, images())):
        assert score.mean() == pytest.approx(1.0)


def test_l2_by_hand() -> None:
    """Two channels, made with weights (3, 4) and read with weights (4, 0): norms 5 and 4, mean 4.5."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0], [4.0]]))
        model[1].weight.copy_(torch.tensor([[4.0, 0.0]]))

    (score,) = importance("l2", model, trace(model, torch.ones(1, 1)))

    assert score.tolist() == pytest.approx([5 / 4.5, 4 / 4.5])


def test_taylor_by_hand() -> None:
    """|w · ∂loss/∂w| summed over what a channel touches, with the gradient that autograd gives."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 1])
    (score,) = importance("taylor", model, trace(model, x), [(x, y)])
    nn.functional.cross_entropy(model(x), y).backward()
    terms = [(p.detach() * p.grad).abs() for p in model.parameters()]
    expected = terms[0].sum(1) + terms[1] + terms[2].sum(0)

    assert score.tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_taylor_leaves_gradients_modes_and_requires_grad_alone(model: nn.Module) -> None:
    model.train()
    parameters = list(model.parameters())
    parameters[0].requires_grad_(False)
    parameters[1].grad = torch.full_like(parameters[1], 3.0)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    importance("taylor", model, trace(model, images()), batches())

    assert model.training
    assert [parameter.requires_grad for parameter in parameters] == [False] + [True] * (len(parameters) - 1)
    assert torch.equal(parameters[1].grad, torch.full_like(parameters[1], 3.0))
    assert all(parameter.grad is None for parameter in (parameters[0], *parameters[2:]))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_taylor_restores_gradients_even_when_the_network_fails(model: nn.Module) -> None:
    network = trace(model, images())

    with pytest.raises(GnnrlError, match="RuntimeError"):
        importance("taylor", model, network, [(torch.zeros(2, 7, 4, 4), torch.zeros(2, dtype=torch.long))])

    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_taylor_needs_batches(model: nn.Module) -> None:
    network = trace(model, images())

    with pytest.raises(ConfigError, match="taylor needs labelled calibration data"):
        importance("taylor", model, network)
    with pytest.raises(DataError, match="no batches"):
        importance("taylor", model, network, [])


def test_random_scores_are_those_of_the_seed() -> None:
    case = topology("chain")
    network = trace(case.model, case.example_inputs)
    first, second, other = (importance("random", case.model, network, seed=seed)[0] for seed in (1, 1, 2))

    assert (first == second).all()
    assert (first != other).any()


def test_groups_without_batch_normalisation_get_a_finite_score_from_bn_scale() -> None:
    case = traced("squeeze_excitation")
    scores = importance("bn_scale", case.model, case.network)

    assert all((score > 0).all() for score in scores)


def test_an_unknown_criterion_lists_the_known_ones() -> None:
    case = traced("chain")
    with pytest.raises(ConfigError, match="'magnitude'; choose one of l1, l2"):
        importance("magnitude", case.model, case.network)
