"""Fine-tuning by Ray Train gives what one process gives, goes on, and says what is wrong."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from gnnrl.errors import ConfigError
from gnnrl.executors.ray_training import finetune_on_ray
from gnnrl.training import finetune
from tests.training.team_work import digits, plain

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None or find_spec("pyarrow") is None, reason="needs ray[train]"),
    pytest.mark.filterwarnings("ignore"),  # ray's own, at its start and at its end
]
SETTINGS = {"epochs": 2, "learning_rate": 0.1, "batch_size": 32, "seed": 3}


def test_two_processes_of_a_cluster_give_the_weights_of_one(tmp_path: Path) -> None:
    """Asked for something else with the same storage, they find the snapshots, and say here that these do not fit."""
    expected, found = plain(), plain()
    alone = finetune(expected, digits(), **SETTINGS)
    together = finetune_on_ray(found, digits(), workers=2, storage=tmp_path, **SETTINGS)
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    assert [e.loss for e in together.history] == pytest.approx([e.loss for e in alone.history], rel=1e-4)
    with pytest.raises(ConfigError, match="started with other weights or settings"):
        finetune_on_ray(plain(1), digits(), workers=2, storage=tmp_path, **SETTINGS)


@pytest.mark.parametrize("settings", [{"workers": 0}, {"threads": 0}, {"device": "cuda"}])
def test_settings_without_a_meaning_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"must be at least 1|leave out device"):
        finetune_on_ray(plain(), digits(), **{**SETTINGS, **settings})
