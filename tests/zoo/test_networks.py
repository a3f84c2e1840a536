"""The CIFAR ResNets and the digits network."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gnnrl.errors import ConfigError
from gnnrl.zoo.networks import BasicBlock, cifar_resnet, digits_resnet


@pytest.mark.parametrize(
    ("depth", "params"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)]
)
def test_cifar_resnet_has_the_published_number_of_parameters(depth: int, params: int) -> None:
    with torch.device("meta"):
        model = cifar_resnet(depth)
    assert sum(p.numel() for p in model.parameters()) == params


def test_cifar_resnet_has_as_many_weighted_layers_as_its_name_says() -> None:
    with torch.device("meta"):
        model = cifar_resnet(1202)
    assert sum(p.ndim > 1 for p in model.parameters()) == 1202


def test_modules_are_called_as_in_published_weights() -> None:
    names = set(cifar_resnet(20).state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer3.2.bn2.bias", "linear.bias"} <= names
    assert {name.split(".")[0] for name in names} == {"conv1", "bn1", "layer1", "layer2", "layer3", "linear"}


def test_shortcut_takes_every_second_pixel_and_pads_channels_on_both_sides() -> None:
    x = torch.randn(1, 16, 8, 8)
    y = BasicBlock(16, 32, stride=2).shortcut(x)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()


@pytest.mark.parametrize("depth", [2, 21, 0, -4])
def test_impossible_depth_is_refused_with_one_that_exists(depth: int) -> None:
    with pytest.raises(ConfigError, match=r"6n \+ 2 layers .* try (8|20|8|8)\."):
        cifar_resnet(depth)


def test_digits_resnet_is_small() -> None:
    model = digits_resnet()
    with FlopCounterMode(display=False) as counter:
        assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    assert sum(p.numel() for p in model.parameters()) == 172_218
    assert counter.get_total_flops() == 2 * 1_631_872
