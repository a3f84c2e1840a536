"""The engines of this package compute what the network computes; those that are not installed are left out."""

from importlib.util import find_spec
from typing import Any

import pytest
import torch

from gnnrl.engines.engine import Target
from gnnrl.engines.table import ENGINES
from tests.topologies import topology

RUN = [
    (name, precision)
    for name, engine in ENGINES.items()
    if name != "compile" and (not engine.extra or find_spec(name))
    for precision in engine.precisions
]
NEAR = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.1}


@pytest.mark.parametrize(("name", "precision"), RUN)
def test_an_engine_runs_the_network(name: str, precision: str) -> None:
    case = topology("residual")
    target = Target(name, ENGINES[name], precision)
    built: Any = target.build(case.model, case.example_inputs)
    found = built()
    found = torch.as_tensor(found[0] if isinstance(found, list) else found)
    with torch.no_grad():
        right = case.model(case.example_inputs)
    assert float((found - right).abs().max() / right.abs().max()) < NEAR[precision]
    assert target.time(built) > 0
    assert name in target.version or name == "eager"
