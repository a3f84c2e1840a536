"""What every test shares: one thread (the machine is shared), fixed seeds, every topology traced once."""

import numpy as np
import pytest
import torch

from tests.topologies import TOPOLOGIES, Traced, traced

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(params=sorted(TOPOLOGIES))
def case(request: pytest.FixtureRequest) -> Traced:
    """Each topology with its network; traced once in a session."""
    return traced(request.param)
