"""Temporary modes of networks."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.modules.modes import evaluating
from gnnrl.network.tracing.tracer import trace


class Cache:
    """A result that `torch.export` does not know."""

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys


class Decoding(nn.Module):
    """A network with a configuration as those of Hugging Face."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(use_cache=True, hidden_size=8, _experts_implementation_internal="eager")
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> dict[str, Any]:
        h = self.up(x)
        return {"logits": self.down(h.relu()), **({"cache": Cache(h)} if self.config.use_cache else {})}


def test_every_module_gets_its_mode_back() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout().eval())

    with evaluating(model):
        assert not any(module.training for module in model.modules())

    assert [module.training for module in model.modules()] == [True, True, False]


def test_configurations_return_no_caches_in_evaluation_and_get_their_settings_back() -> None:
    model = Decoding()

    with evaluating(model):
        assert vars(model.config) == {
            "use_cache": False,
            "hidden_size": 8,
            "_experts_implementation_internal": "batched_mm",
        }

    assert vars(model.config) == {"use_cache": True, "hidden_size": 8, "_experts_implementation_internal": "eager"}


def test_a_network_that_returns_a_cache_is_traced_without_it() -> None:
    model = Decoding()

    assert [group.size for group in trace(model, torch.randn(2, 4)).groups] == [8]
    assert "cache" in model(torch.randn(2, 4))
