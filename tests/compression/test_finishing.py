"""From the best plan to the small network: repaired, trained, tested."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from gnnrl.compression.observer import STAGES
from gnnrl.errors import EvaluationError, GnnrlWarning
from gnnrl.pruning.held_out import StepBack
from gnnrl.scoring import plans
from tests.compression.tiny import compressed


def test_the_result_is_the_candidate_that_was_judged_best() -> None:
    result = compressed(searcher="ppo", episodes=6)

    assert result.score["repaired"] == pytest.approx(result.reward, rel=1e-4, abs=1e-7)
    assert result.plan.widths == max(result.history, key=lambda trial: trial.score).widths


def test_repair_shows_in_the_scores() -> None:
    result = compressed()

    assert result.score["dense"] == pytest.approx(0.0, abs=1e-9)
    assert result.score["repaired"] > result.score["pruned"]


def test_the_test_function_is_never_called_during_the_search() -> None:
    stages: list[str] = []
    seen: list[str] = []

    def count(model: nn.Module) -> float:
        seen.append(stages[-1])
        return float(len(seen))

    result = compressed(test=count, searcher="ppo", on_stage=stages.append, finetune=lambda model: None)

    expected = [stage for stage in STAGES if stage != "latency"]
    assert stages == expected
    assert seen == ["test"] * 4
    assert result.score == {"dense": 1, "pruned": 2, "repaired": 3, "finetuned": 4}
    assert set(result.seconds) == set(expected)


def test_fine_tuning_trains_the_result_and_not_what_was_repaired() -> None:
    def finetune(model: nn.Module) -> None:
        with torch.no_grad():
            model[3].linear.bias.add_(100)

    result = compressed(finetune=finetune, keep="finetuned")

    assert result.score["finetuned"] < result.score["repaired"] - 1000
    assert not result.model.training


def test_weights_that_a_training_ruined_are_blamed_on_the_training() -> None:
    def ruin(network: nn.Module) -> None:
        next(network.parameters()).data[0] = torch.nan

    with pytest.raises(EvaluationError, match=r"fine-tuning left NaN or infinite numbers in \S+ \(1 tensors in all\)"):
        compressed(finetune=ruin)


def replace_a_layer(network: nn.Module) -> None:
    name, layer = next((name, part) for name, part in network.named_modules() if isinstance(part, nn.Linear))
    network.set_submodule(name, nn.Linear(layer.in_features, layer.out_features, bias=False))


@pytest.mark.parametrize(
    ("train", "told"),
    [(replace_a_layer, "changed the parameters or buffers"), (copy.deepcopy, "returned another network")],
)
def test_a_training_that_makes_another_network_is_warned_of(train: Any, told: str) -> None:
    with pytest.warns(GnnrlWarning, match=told):
        assert compressed(finetune=train, keep="finetuned").score["finetuned"] < 0


def test_what_held_out_images_speak_against_is_left_out_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    found = StepBack(frozenset({1}), ("1.conv1.0.weight",))
    monkeypatch.setattr(plans, "step_back", lambda *_: found)
    partly = compressed()
    monkeypatch.setattr(plans, "step_back", lambda *_: StepBack(names=("all layers",), everything=True))
    unrepaired = compressed()

    assert partly.unrepaired == ("1.conv1.0.weight",)
    assert partly.score["repaired"] > partly.score["pruned"]
    assert unrepaired.unrepaired == ("all layers",)
    assert unrepaired.score["repaired"] == unrepaired.score["pruned"]
    assert "Not repaired: 1.conv1.0.weight; their" in repr(partly)


def test_sensitivity_is_that_of_the_groups() -> None:
    result = compressed()

    assert len(result.sensitivity) == len(result.network.groups)
    assert any(value is not None for value in result.sensitivity)
    assert [width.sensitivity for width in result.record().widths] == list(result.sensitivity)
