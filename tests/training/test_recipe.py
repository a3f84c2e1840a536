"""Settings of a fine-tuning that are out of range, or mean nothing together."""

from typing import Any

import pytest
from torch import nn
from torch.utils.data import TensorDataset

from gnnrl.errors import ConfigError
from gnnrl.training import finetune, rate_at
from tests.training.pictures import network, tuned


def test_every_wrong_setting_is_named_at_once(blobs: TensorDataset, classifier: nn.Module) -> None:
    with pytest.raises(ConfigError) as error:
        finetune(
            classifier.requires_grad_(False),
            blobs,
            epochs=0,
            learning_rate=float("nan"),
            batch_size=1,
            weight_decay=-1,
            label_smoothing=1,
            schedule="linear",  # type: ignore[arg-type]
            augment="flip",  # type: ignore[arg-type]
            precision="float16",  # type: ignore[arg-type]
        )
    for name in ("epochs", "learning_rate", "batch_size", "weight_decay", "label_smoothing"):
        assert f"{name} must be" in str(error.value)
    for text in ("not linear", "not flip", "not float16", "no parameter of the network can be trained"):
        assert text in str(error.value)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"distill": 0.5}, "distill needs a teacher"),
        ({"distill": 2.0, "teacher": network()}, r"distill must be in \[0, 1\], not 2.0"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"ema": 1.0}, r"ema must be in \[0, 1\)"),
        ({"patience": 3}, "patience needs samples to watch"),
        ({"patience": -1}, "patience must be 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        tuned(**settings)


def test_one_cycle_climbs_and_falls_while_cosine_only_falls() -> None:
    one_cycle = [rate_at(i / 100, 1.0, "one-cycle") for i in range(101)]
    assert one_cycle[0] == pytest.approx(1 / 25)
    assert max(one_cycle) == one_cycle[30] == 1.0
    assert one_cycle[100] == pytest.approx(0)
    cosine = [rate_at(i / 100, 1.0, "cosine") for i in range(101)]
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[0] == 1.0
    assert cosine[50] == pytest.approx(0.5)
