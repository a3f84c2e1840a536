import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.errors import VerificationError
from gnnrl.network.surgery import remove
from tests.topologies import Traced, fresh, topology, traced


def halved(name: str) -> tuple[Traced, nn.Module]:
    case = traced(name)
    return case, remove(case.model, case.network, [np.arange((group.size + 1) // 2) for group in case.network.groups])


def test_the_kept_weights_are_the_dense_ones() -> None:
    case = traced("chain")
    small = remove(case.model, case.network, [[1, 5], np.arange(16), np.arange(12)])

    assert torch.equal(small[0][0].weight, case.model[0][0].weight[[1, 5]])
    assert torch.equal(small[0][1].running_var, case.model[0][1].running_var[[1, 5]])
    assert torch.equal(small[2][0].weight, case.model[2][0].weight[:, [1, 5]])
    assert torch.equal(small[4][0].weight, case.model[4][0].weight)


def test_nothing_is_shared_with_the_dense_network() -> None:
    case, small = halved("chain")
    dense = {tensor.data_ptr() for tensor in case.model.state_dict().values()}

    assert not dense & {tensor.data_ptr() for tensor in small.state_dict().values()}


@pytest.mark.parametrize("name", ["depthwise", "grouped_many", "grouped_wide", "grouped_shuffle", "transposed_grouped"])
def test_attributes_of_convolutions_say_what_the_weights_are(name: str) -> None:
    _, small = halved(name)
    for layer in small.modules():
        if isinstance(layer, nn.modules.conv._ConvNd):
            first, second = layer.weight.shape[:2]
            outside = second * layer.groups
            transposed = isinstance(layer, nn.ConvTranspose2d)
            assert (layer.out_channels, layer.in_channels) == ((outside, first) if transposed else (first, outside))
            assert layer.in_channels % layer.groups == layer.out_channels % layer.groups == 0


@pytest.mark.parametrize(
    ("name", "kind", "attribute", "tensor", "dim"),
    [
        ("residual", nn.BatchNorm2d, "num_features", "weight", 0),
        ("batch_norm_plain", nn.BatchNorm2d, "num_features", "running_mean", 0),
        ("flatten_linear", nn.Linear, "in_features", "weight", 1),
        ("flatten_linear", nn.Linear, "out_features", "weight", 0),
        ("embedding", nn.Embedding, "embedding_dim", "weight", 1),
        ("group_norm", nn.GroupNorm, "num_channels", "weight", 0),
        ("prelu", nn.PReLU, "num_parameters", "weight", 0),
    ],
)
def test_attributes_are_true(name: str, kind: type[nn.Module], attribute: str, tensor: str, dim: int) -> None:
    _, small = halved(name)
    layers = [module for module in small.modules() if isinstance(module, kind)]

    assert layers
    assert all(getattr(layer, attribute) == getattr(layer, tensor).shape[dim] for layer in layers)


def test_layer_norm_states_its_new_shape() -> None:
    _, small = halved("layer_norm_mlp")

    assert small.norm.normalized_shape == (4,)
    assert "4," in repr(small.norm)


def test_tied_parameters_stay_tied() -> None:
    _, small = halved("tied_embedding")
    assert small.decoder.weight is small.embedding.weight
    assert small.embedding.weight.shape == (11, 4)

    _, small = halved("tied_convolutions")
    assert small[2][0].weight is small[1][0].weight


def test_requires_grad_and_modes_are_carried_over() -> None:
    case = topology("chain")
    case.model[0][0].weight.requires_grad_(False)
    case.model[4].train()

    small = remove(case.model, traced("chain").network, [[0], [0], [0]])

    assert not small[0][0].weight.requires_grad
    assert small[2][0].weight.requires_grad
    assert small[4].training
    assert not small[0].training


def test_attributes_of_the_users_own_modules_survive() -> None:
    case = topology("padding_shortcut")
    case.model.note = {"made": ["by", "hand"]}
    kept = [np.arange(group.size) for group in traced("padding_shortcut").network.groups]

    small = remove(case.model, traced("padding_shortcut").network, kept)

    assert small.note == {"made": ["by", "hand"]}
    assert small.note is not case.model.note


def test_a_plan_that_leaves_nothing_is_refused() -> None:
    case = traced("chain")

    with pytest.raises(VerificationError, match="without channels"):
        remove(case.model, case.network, [[], [0], [0]])


def test_keeping_everything_gives_an_equal_network() -> None:
    case = traced("bottleneck")
    small = remove(case.model, case.network, [np.arange(group.size) for group in case.network.groups])

    for a, b in zip(small.state_dict().values(), case.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_plan_may_be_removed_from_a_copy_with_other_weights() -> None:
    case = traced("residual")
    other = fresh(case)
    with torch.no_grad():
        other[0][0].weight.zero_()

    assert not remove(other, case.network, [[0], [0], [0]])[0][0].weight.any()


def test_sizes_that_a_module_states_itself_follow_the_plan() -> None:
    case, small = halved("layer_norm_plain")
    assert small[1].normalized_shape == (4,)
    assert case.model[1].normalized_shape == (8,)

    case, small = halved("stated_heads")
    assert (small.heads, small.channels) == (2, 8)
    assert (case.model.heads, case.model.channels) == (3, 12)
