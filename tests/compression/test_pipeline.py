"""The whole way, on a tiny network and random data."""

import copy
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gnnrl
from gnnrl.compression.pipeline import compress
from gnnrl.errors import ConfigError, DataError, EvaluationError, GnnrlWarning, NothingToPrune, UnreachableConstraint
from gnnrl.modules.copies import copy_network
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.rules import WidthRules
from gnnrl.searchers.table import SEARCHERS
from tests.compression.tiny import batches, compressed, near
from tests.topologies import images, topology


@pytest.mark.parametrize("searcher", sorted(SEARCHERS))
def test_every_searcher_ends_in_a_smaller_network_of_the_same_class(searcher: str) -> None:
    model = topology("residual").model
    result = compressed(model=model, searcher=searcher)

    assert type(result.model) is type(model)
    assert result.cost["pruned"].macs <= 0.5 * result.cost["dense"].macs
    assert result.cost["pruned"].macs == result.verification.macs
    assert sum(parameter.numel() for parameter in result.model.parameters()) == result.cost["pruned"].params
    assert set(result.score) == {"dense", "pruned", "repaired"}
    assert result.reward == max(trial.score for trial in result.history)
    assert len(result.history) <= 4
    assert tuple(result.model(images(batch=3)).shape) == (3, 5)


def test_batches_and_functions_are_both_ways_to_judge() -> None:
    result = compressed(evaluate=batches(), test=batches(1, seed=3))

    assert all(0 <= score <= 1 for score in result.score.values())
    with pytest.raises(ConfigError, match="function of a network or batches"):
        compressed(evaluate=3)


def test_the_input_model_is_untouched() -> None:
    model = topology("residual").model.train()
    twin = copy.deepcopy(model)
    parameters = list(model.parameters())

    result = compressed(model=model, evaluate=lambda small: 0.0, finetune=lambda small: small.train())

    assert model.training
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in parameters)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True))
    assert not {p.data_ptr() for p in parameters} & {p.data_ptr() for p in result.model.parameters()}


def test_the_same_seed_gives_the_same_plan() -> None:
    first, second = (compressed(searcher="ppo", episodes=6, seed=5) for _ in range(2))

    assert first.plan == second.plan
    assert [trial.score for trial in first.history] == [trial.score for trial in second.history]


def test_rules_are_kept() -> None:
    result = compressed(constraint="macs<=80%", rules=WidthRules(round_to=4, keep=("1.conv1.0",)))

    assert result.plan.widths[1] == 12
    assert all(width % 4 == 0 for width in result.plan.widths)


def test_two_inputs_and_keywords_go_the_whole_way() -> None:
    model = topology("two_inputs").model
    data = [(images(batch=32), torch.randn(32, 4))]
    result = compressed(
        model=model,
        inputs=(images(), torch.randn(2, 4)),
        calibration=data,
        evaluate=lambda small: 0.0,
        constraint="macs<=70%",
    )

    assert result.verification.difference is not None


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(EvaluationError, match="finite"):
        compressed(evaluate=lambda model: float("nan"))


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"constraint": "half"}, ConfigError, "is not a limit"),
        ({"constraint": "macs<=0.1%"}, UnreachableConstraint, "cannot be met"),
        ({"searcher": "pp0"}, ConfigError, "did you mean ppo"),
        ({"importance": "magic"}, ConfigError, "unknown importance criterion"),
        ({"repair": "magic"}, ConfigError, "unknown repair"),
        ({"calibration": None}, ConfigError, "calibration"),
        ({"calibration": []}, DataError, "no batches"),
        ({"rules": WidthRules(keep=("nowhere",))}, ConfigError, "matches no layer"),
        ({"episodes": 0, "searcher": "ppo"}, ConfigError, "at least one evaluation"),
        ({"episodes": 2.5, "searcher": "ppo"}, ConfigError, "a whole number, got 2.5"),
        ({"seed": None, "searcher": "ppo"}, ConfigError, "a seed is a whole number .* got None"),
        ({"inputs": torch.zeros(2, 4)}, ConfigError, "does not run on the example inputs"),
        ({"importance": "taylor", "calibration": [images()]}, DataError, "no labels"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_judged(settings: dict[str, Any], error: type, said: str) -> None:
    judged: list[nn.Module] = []

    with pytest.raises(error, match=said):
        compressed(**({"evaluate": lambda model: judged.append(model) or 0.0} | settings))
    assert not judged


def test_a_network_with_nothing_to_prune_says_why() -> None:
    with pytest.raises(NothingToPrune, match="i0 has no rule"):
        compressed(model=topology("without_rule").model, evaluate=lambda model: 0.0)


def test_the_public_door_is_enough() -> None:
    model = topology("residual").model
    network = gnnrl.trace(model, images())
    plan = gnnrl.Plan.uniform(network, "macs<=50%")
    small = gnnrl.prune(model, images(), plan)
    scores = gnnrl.importance("l2", model, network)

    assert gnnrl.measure(network, plan) == gnnrl.measure(gnnrl.trace(small, images()))
    assert np.concatenate(scores).min() > 0
    assert "1.conv1.0" in str(network)


def test_generators_are_refused_before_any_work() -> None:
    with pytest.raises(ConfigError, match="generator"):
        compress(
            torch.nn.Linear(2, 2), torch.randn(1, 2), "macs<=50%", evaluate=iter([]), repair="none", importance="l2"
        )


def test_a_wrapped_network_gives_a_network_of_the_wrapped_class() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    result = compress(
        torch.nn.DataParallel(model),
        torch.randn(2, 4),
        "macs<=50%",
        evaluate=lambda network: 1.0,
        searcher="uniform",
        importance="l2",
        repair="none",
    )

    assert type(result.model) is torch.nn.Sequential


def test_a_reward_that_changes_its_network_changes_no_result() -> None:
    model = topology("residual").model

    def spoiling(network: nn.Module) -> float:
        score = near(model)(network)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        return score

    result = compressed(model=model, evaluate=spoiling)
    honest = compressed(model=model)

    assert result.score == honest.score
    assert all(torch.equal(a, b) for a, b in zip(result.model.parameters(), honest.model.parameters(), strict=True))


def test_a_limit_that_is_met_already_is_warned_of() -> None:
    with pytest.warns(GnnrlWarning, match="there is nothing to prune; give a lower limit"):
        result = compressed(constraint="macs<=1G")
    assert result.cost["pruned"] == result.cost["dense"]


def test_a_training_that_is_no_function_is_refused_at_once() -> None:
    stages: list[str] = []
    with pytest.raises(ConfigError, match="finetune must be a function"):
        compressed(finetune=3, on_stage=stages.append)
    assert not stages


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rules": {"min_width": 4}}, "rules must be gnnrl.WidthRules"),
        ({"device": "abc"}, "device 'abc' cannot be used"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], said: str) -> None:
    model, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(8, 4)
    with pytest.raises(ConfigError, match=said):
        compress(model, x, "macs<=60%", evaluate=lambda small: 0.0, calibration=[x], **wrong)


def test_a_network_that_cannot_be_copied_says_why() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    model.lock = threading.Lock()
    for act in (lambda: trace(model, torch.randn(2, 4)), lambda: copy_network(model)):
        with pytest.raises(ConfigError, match=r"Sequential cannot be copied .*lock"):
            act()
