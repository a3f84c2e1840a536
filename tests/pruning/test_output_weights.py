"""Curves are weighted by what the outputs feel, and no plan is worse than the closed form's on held-out images."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.curves import Curve
from gnnrl.pruning.held_out import divergences, held_out_outputs
from gnnrl.pruning.output_weights import _chosen, _log_ratios, weighted_curves
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.reconstruction import Repair
from tests.pruning.knowledge import known
from tests.topologies import images, topology


class Two(nn.Module):
    """Two branches of the same kind; the outputs hardly feel the second one.

    Logits of five classes, one number, or a number and a vector of which the first is a thousand times as large.
    """

    def __init__(self, outputs: str = "logits") -> None:
        super().__init__()
        self.left, self.right = (nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 8)) for _ in range(2))
        self.head = nn.Linear(16, 1 if outputs == "number" else 5)
        self.outputs = outputs
        with torch.no_grad():
            self.head.weight[:, 8:] *= 0.01

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        found: Tensor = self.head(torch.cat([self.left(x), self.right(x)], 1))
        return (1000 * found[:, 0], found[:, 1:]) if self.outputs == "two" else found


def group_of(network: Network, name: str) -> int:
    return next(group.index for group in network.groups if group.name.startswith(name) and group.size == 24)


@pytest.mark.parametrize("outputs", ["logits", "number", "two"])
def test_what_the_outputs_hardly_feel_gets_less_width(outputs: str) -> None:
    torch.manual_seed(0)
    model, x = Two(outputs).eval(), torch.randn(200, 6)
    network, record, curves = known(model, x)
    projection = Projection.build(network, "macs<=40%")
    left, right = group_of(network, "left"), group_of(network, "right")

    orders = [curve.order for curve in curves]
    found = weighted_curves(model, projection, curves, orders, record, Repair())
    before, after = (Allocation.build(projection, each).widths() for each in (curves, found))
    weights = [float(new.error[0] / old.error[0]) for new, old in zip(found, curves, strict=True)]

    felt = [new.sensitivity or 0.0 for new in found]

    assert weights[left] > 2.7 * weights[right]
    assert felt[left] > felt[right] + 1
    assert after[right] < 0.8 * before[right]
    assert missed(model, network, after, orders, record) < 0.8 * missed(model, network, before, orders, record)


def missed(
    model: nn.Module, network: Network, widths: Component, orders: list[Component], record: Calibration
) -> float:
    kept = Plan.of_widths(network, widths, orders).kept
    assert kept is not None
    outputs = held_out_outputs(remove(model, network, kept), network, kept, record, Repair())
    return float(divergences(outputs, record.outputs, record.images - record.fitted).mean())


@pytest.mark.parametrize("name", ["chain", "residual", "depthwise", "layer_norm_mlp", "attention"])
def test_the_chosen_plan_is_not_further_from_the_dense_network_than_the_closed_form(name: str) -> None:
    case = topology(name)
    network, record, curves = known(case.model, images(batch=64) if name in ("chain",) else more(case.example_inputs))
    orders = [curve.order for curve in curves]

    projection = Projection.build(network, "macs<=80%")

    found = weighted_curves(case.model, projection, curves, orders, record, Repair())
    before, after = (Allocation.build(projection, each).widths() for each in (curves, found))

    known_model = case.model, network
    assert missed(*known_model, after, orders, record) <= missed(*known_model, before, orders, record)


def more(x: Tensor) -> Tensor:
    """As many samples as a calibration needs, like these."""
    return torch.randn(64, *x.shape[1:], generator=torch.Generator().manual_seed(1))


def test_without_held_out_images_all_weights_are_one() -> None:
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
    network, record, curves = known(model, torch.randn(7, 6))
    projection = Projection.build(network, "macs<=50%")

    assert weighted_curves(model, projection, curves, [c.order for c in curves], record, Repair()) == curves


def test_a_gain_within_chance_leaves_the_closed_form() -> None:
    torch.manual_seed(0)
    closed = torch.rand(50)
    noise = 0.5 * torch.randn(50)
    lucky, clear = closed - 0.05 + noise - noise.mean(), closed - 0.2 + 0.1 * (noise - noise.mean())

    assert _chosen([closed, lucky]) == 0
    assert _chosen([closed, clear, lucky]) == 1
    assert _chosen([closed, closed + 1]) == 0
    assert _chosen([closed * torch.nan, clear]) == 1


def test_a_group_that_loses_only_dead_channels_keeps_its_weight() -> None:
    """Curves 0, 1, 3 and 0, 0, 3; both groups lose one of three units."""
    alive, dead = (Curve(np.arange(3), np.array([3.0, error, 0.0])) for error in (1.0, 0.0))
    widths = np.array([2, 2, 2])

    assert _log_ratios(np.array([0.1, 0.1]), [alive, alive], widths[:2]).tolist() == [0.0, 0.0]
    assert _log_ratios(np.array([0.1, 0.0, 0.1]), [alive, dead, alive], widths).tolist() == pytest.approx([0, 0, 0])
    assert _log_ratios(np.array([0.3, 0.1]), [alive, alive], np.array([2, 3])).tolist() == [0.0, 0.0]
    felt = _log_ratios(np.array([0.3, 0.1]), [alive, alive], widths[:2])
    assert felt[0] == pytest.approx(np.log(1.51 / 0.51) / 2)
    assert felt.sum() == pytest.approx(0.0)
