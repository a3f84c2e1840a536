import pytest
import torch
from torch import nn

from gnnrl.compression.pipeline import compress
from gnnrl.errors import ConfigError
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.pruner import prune
from tests.topologies import fresh, topology, traced


def test_a_criterion_that_looks_at_labels_is_given_the_calibration_data() -> None:
    case = topology("chain")
    inputs = case.example_inputs if isinstance(case.example_inputs, torch.Tensor) else case.example_inputs[0]
    network = traced("chain").network
    plan = Plan.uniform(network, "macs<=50%")
    batches = [(inputs.repeat(4, 1, 1, 1), torch.zeros(4 * len(inputs), dtype=torch.int64))]

    small = prune(fresh(case), case.example_inputs, plan, criterion="taylor", calibration=batches)

    assert sum(p.numel() for p in small.parameters()) == network.cost.measure(list(plan.widths)).params
    with pytest.raises(ConfigError, match="labelled calibration data"):
        prune(fresh(case), case.example_inputs, plan, criterion="taylor")


def test_a_network_that_was_traced_of_another_model_is_refused() -> None:
    case, network = topology("chain"), traced("chain").network
    wider = nn.Sequential(nn.Sequential(nn.Conv2d(3, 17, 3)))
    told = (
        r"from another model: there 0.0.weight has .*, and it has the shape \[17, 3, 3, 3\] in this Sequential. Trace"
    )
    with pytest.raises(ConfigError, match=told):
        prune(wider, case.example_inputs, Plan.uniform(network, "macs<=50%"), network=network)
    judge = [(torch.randn(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64))]
    with pytest.raises(
        ConfigError, match=r"0.0.weight has .*, and it does not exist in this Linear. Trace this model, trace\("
    ):
        compress(nn.Linear(3, 3), torch.randn(2, 3), "macs<=50%", evaluate=judge, calibration=judge, network=network)
