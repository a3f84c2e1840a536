import pytest
import torch

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
