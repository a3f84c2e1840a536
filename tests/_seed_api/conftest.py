"""An environment that tests share."""

import pytest
import torch

from gnnrl.graph_env.graph_environment import graph_env
from tests._seed_api.problem import environment


@pytest.fixture(scope="module")
def env() -> graph_env:
    torch.manual_seed(0)
    return environment()
