"""What an engine must do, and what is said of one that does not."""

import pytest
import torch
from torch import nn

from gnnrl.engines.engine import Target, time_in_turns
from gnnrl.engines.pytorch import Eager
from gnnrl.errors import ConfigError, ExportError
from tests.engines.device import SECONDS_OF_A_CALL, Broken, Engine, Silent

MODEL, INPUTS = nn.Linear(4, 8), torch.zeros(2, 4)


def test_networks_are_timed_each_for_its_target() -> None:
    targets = [Target("board", Engine()), Target("board", Engine(), "int8")]
    wide, narrow = time_in_turns(targets, [each.build(MODEL, INPUTS) for each in targets], rounds=3)
    assert wide - SECONDS_OF_A_CALL == pytest.approx(2 * (narrow - SECONDS_OF_A_CALL))
    assert str(targets[1]) == "board:int8"
    assert targets[0].describe(INPUTS).startswith("board, fp32, ")
    assert targets[0].describe(INPUTS).endswith(", a batch of 2")


@pytest.mark.parametrize(
    ("engine", "message"),
    [(Broken(), "board built the network, but cannot run it: OSError: no device"), (Silent(), "seconds above 0.*nan")],
)
def test_a_device_that_fails_or_tells_no_time_is_named(engine: Engine, message: str) -> None:
    target = Target("board", engine)
    with pytest.raises(ExportError, match=message):
        target.time(target.build(MODEL, INPUTS))


def test_a_network_that_an_engine_cannot_build_is_named() -> None:
    with pytest.raises(ExportError, match="board cannot run Linear: RuntimeError"):
        Target("board", Engine()).build(MODEL, torch.zeros(2, 5))


def test_a_precision_that_an_engine_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="eager has no precision 'int8'; there are fp32"):
        Target("eager", Eager(), "int8")
