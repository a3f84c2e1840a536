"""Views: higher floors show objects of lower ones, which work without them."""

import pytest
import torch
from torch import nn

import gnnrl
from gnnrl import views
from gnnrl.network.description import describe
from gnnrl.report.notebook import show_network, show_plan


def test_a_network_is_shown_by_the_views_that_the_front_door_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    network = gnnrl.trace(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), torch.randn(3, 4))
    plan = gnnrl.Plan.uniform(network, "macs<=50%")
    assert str(network) == describe(network)
    assert network._repr_html_() == show_network(network)
    assert plan._repr_html_() == show_plan(plan)

    monkeypatch.setattr(views, "_HOMES", {})
    assert str(network) == repr(network)
    assert network._repr_html_() is plan._repr_html_() is None


def test_a_registered_view_gets_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_HOMES", {})
    views.register({"number in words": ("builtins", "ascii")})

    assert views.show("number in words", "é") == "'\\xe9'"
    assert views.show("number as HTML", 1) is None
