"""What single groups do to the outputs, measured by masking them or by removing them."""

import numpy as np
import torch
from torch import nn

from gnnrl.pruning.reconstruction import Repair
from gnnrl.pruning.sensitivity import Sensitivity
from tests.pruning.knowledge import known
from tests.topologies import images, topology


def test_a_group_that_a_normalisation_runs_over_is_really_removed() -> None:
    """Masked channels still count in a layer normalisation; removed ones do not."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), nn.LayerNorm(24), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 4)).eval()
    network, record, curves = known(model, torch.randn(80, 6))
    measure = Sensitivity(model, network, [curve.order for curve in curves], record, Repair())
    widths = np.array([group.size // 2 for group in network.groups])

    found = measure(widths)

    assert (found > 0).all()
    normed = next(group.index for group in network.groups if any(p.tensor.startswith("1.") for p in group.places))
    assert measure._masks == {group.index: group.index != normed for group in network.groups}


def test_a_group_at_its_full_width_does_nothing_to_the_outputs_and_the_model_is_left_as_it_was() -> None:
    case = topology("residual")
    network, record, curves = known(case.model, images(batch=64))
    before = {name: value.clone() for name, value in case.model.state_dict().items()}
    measure = Sensitivity(case.model, network, [curve.order for curve in curves], record, Repair())

    assert (measure(network.widths) == 0).all()
    narrow, narrower = (measure(np.maximum(network.widths * share // 8, 1)) for share in (6, 3))
    assert (narrower >= narrow).mean() > 0.7
    torch.testing.assert_close(case.model.state_dict(), before, rtol=0, atol=0)
