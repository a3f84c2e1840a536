"""Functions over modules: a copy would call the original's modules, so the network is refused."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gnnrl.errors import ConfigError
from gnnrl.modules.copies import copy_network


def _by_default(layer: nn.Module) -> Callable[[Tensor], Any]:
    return lambda x, layer=layer: layer(x)


def _by_function(layer: nn.Module) -> Callable[[Tensor], Any]:
    inner = partial(_by_default(layer))
    return lambda x: inner(x)


HOLDING = {
    "a closure": lambda net: lambda x: net.layer(x),
    "a default": lambda net: _by_default(net.layer),
    "a function in a function": lambda net: _by_function(net.layer),
    "a weight": lambda net: lambda x, weight=net.layer.weight: x @ weight,
    "in a dictionary": lambda net: {"branch": [lambda x: net.layer(x)]},
}
FREE = {
    "nothing": lambda net: lambda x: x,
    "a number": lambda net: (lambda scale: lambda x: x * scale)(2.0),
    "another network": lambda net: (lambda other: lambda x: other(x))(nn.Linear(4, 4)),
    "a bound method": lambda net: net.layer.forward,
    "a partial of a method": lambda net: partial(net.layer.forward),
}


class Net(nn.Module):
    def __init__(self, hold: Callable[[Any], Any]) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.branch = hold(self)


@pytest.mark.parametrize("name", HOLDING)
def test_a_function_over_parts_of_the_network_is_refused_with_its_line(name: str) -> None:
    with pytest.raises(
        ConfigError, match=r"branch of Net holds a function over (Net|layer|layer.weight) \(.*\.py:[0-9]+\)"
    ):
        copy_network(Net(HOLDING[name]))


@pytest.mark.parametrize("name", FREE)
def test_other_functions_are_copied(name: str) -> None:
    net = Net(FREE[name])

    assert copy_network(net) is not net


def test_a_bound_method_of_a_copy_is_its_own() -> None:
    net = Net(FREE["a bound method"])
    copy: Any = copy_network(net)
    with torch.no_grad():
        copy.layer.weight.zero_()
        copy.layer.bias.zero_()

    assert not copy.branch(torch.ones(1, 4)).any()
    assert net.branch(torch.ones(1, 4)).any()
