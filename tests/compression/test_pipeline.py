"""The whole way, on a tiny network and random data."""

import copy
import json
import threading
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gnnrl
from gnnrl.compression import timing
from gnnrl.compression.pipeline import compress
from gnnrl.compression.study import STAGES
from gnnrl.errors import (
    ConfigError,
    DataError,
    EvaluationError,
    GnnrlWarning,
    NothingToPrune,
    UnreachableConstraint,
)
from gnnrl.modules.copies import copy_network
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.rules import WidthRules
from gnnrl.searchers.table import SEARCHERS
from tests.latency.machine import counting_clock
from tests.topologies import images, topology


def batches(count: int = 2, size: int = 32, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(size, 3, 8, 8, generator=generator), torch.randint(0, 5, (size,), generator=generator))
        for _ in range(count)
    ]


def near(dense: nn.Module) -> Any:
    """A reward: how near the outputs are to those of the dense network."""
    x = batches(1, seed=1)[0][0]
    with torch.no_grad():
        target = dense(x)

    def score(model: nn.Module) -> float:
        with torch.no_grad():
            return -float((model(x) - target).square().mean())

    return score


def compressed(**settings: Any) -> gnnrl.CompressionResult:
    model = settings.pop("model", None) or topology("residual").model
    settings.setdefault("evaluate", None)
    settings["evaluate"] = near(model) if settings["evaluate"] is None else settings["evaluate"]
    settings = {"calibration": batches(), "searcher": "curves", "episodes": 4} | settings
    return compress(model, settings.pop("inputs", images()), settings.pop("constraint", "macs<=50%"), **settings)


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


def test_a_result_prints_itself_in_three_lines() -> None:
    result = compressed(episodes=2)
    sizes, scores, search = str(result).splitlines()
    assert sizes.startswith(f"macs<=50%: {result.cost['pruned'].macs:,} of {result.cost['dense'].macs:,} MACs (")
    assert scores.startswith("score: dense ")
    assert search.startswith(f"curves judged {len(result.history)} plan")


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

    def test(model: nn.Module) -> float:
        seen.append(stages[-1])
        return 0.0

    result = compressed(test=test, searcher="ppo", on_stage=stages.append, finetune=lambda model: None)

    expected = [stage for stage in STAGES if stage != "latency"]
    assert stages == expected
    assert seen == ["test"] * 4
    assert set(result.score.values()) == {0.0}
    assert set(result.seconds) == set(expected)


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


def test_fine_tuning_trains_the_result_and_not_what_was_repaired() -> None:
    def finetune(model: nn.Module) -> None:
        with torch.no_grad():
            model[3].linear.bias.add_(100)

    result = compressed(finetune=finetune)

    assert result.score["finetuned"] < result.score["repaired"] - 1000
    assert not result.model.training


def test_the_same_seed_gives_the_same_plan() -> None:
    first, second = (compressed(searcher="ppo", episodes=6, seed=5) for _ in range(2))

    assert first.plan == second.plan
    assert [trial.score for trial in first.history] == [trial.score for trial in second.history]


@pytest.mark.parametrize("importance", ["curves", "l1", "l2", "bn_scale", "taylor", "random"])
def test_every_criterion_chooses_units(importance: str) -> None:
    assert compressed(importance=importance).plan.kept is not None


def test_without_calibration_there_is_magnitude_and_no_repair() -> None:
    result = compressed(calibration=None, importance="l2", repair="none")

    assert result.score["pruned"] == result.score["repaired"]


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


def test_a_result_is_saved_and_loaded(tmp_path: Any) -> None:
    result = compressed()
    result.save(tmp_path / "out")

    loaded = gnnrl.load(topology("residual").model, tmp_path / "out").eval()

    x = images(batch=4)
    with torch.no_grad():
        assert torch.equal(loaded(x), result.model(x))
    with pytest.raises(ConfigError, match="not empty"):
        result.save(tmp_path / "out")


def test_a_result_is_exported_by_the_suffix_of_the_file(tmp_path: Any) -> None:
    model = topology("residual").model
    result = compressed(model=model)

    assert result.export(tmp_path / "small.pt2", images()).dynamic_batch
    assert [path.name for path in result.export(tmp_path / "narrow.py", dense=model).files] == [
        "narrow.py",
        "narrow.pt",
    ]


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


def test_a_limit_on_latency_gives_a_network_that_is_so_fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """On a machine whose time is its multiply-accumulates, so that the test does not depend on this one."""
    model, stages = topology("residual").model, []
    with counting_clock() as clock:
        for name in ("measure_latency", "time_plans"):
            monkeypatch.setattr(timing, name, partial(getattr(timing, name), clock=clock))
        settings = {"model": model, "constraint": "latency<=60%, params<=90%", "rules": WidthRules(round_to=1)}
        result = compressed(**settings, on_stage=stages.append)

    assert result.latency is not None
    assert 0.9 < result.latency.used <= 1
    assert result.cost["pruned"].macs <= 0.6 * result.cost["dense"].macs
    assert stages[:4] == ["trace", "latency", "calibrate", "curves"]
    assert json.loads((result.save(tmp_path / "out") / "manifest.json").read_text())["latency"]["used"] <= 1


def test_weights_that_a_training_ruined_are_blamed_on_the_training() -> None:
    def ruin(network: nn.Module) -> None:
        next(network.parameters()).data[0] = torch.nan

    with pytest.raises(EvaluationError, match=r"fine-tuning left NaN or infinite numbers in \S+ \(1 tensors in all\)"):
        compressed(finetune=ruin)


def test_a_limit_that_is_met_already_is_warned_of() -> None:
    with pytest.warns(GnnrlWarning, match="there is nothing to prune; give a lower limit"):
        result = compressed(constraint="macs<=1G")
    assert result.cost["pruned"] == result.cost["dense"]


def replace_a_layer(network: nn.Module) -> None:
    name, layer = next((name, part) for name, part in network.named_modules() if isinstance(part, nn.Linear))
    network.set_submodule(name, nn.Linear(layer.in_features, layer.out_features, bias=False))


@pytest.mark.parametrize(
    ("train", "told"),
    [(replace_a_layer, "changed what the network is made of"), (copy.deepcopy, "returned another network")],
)
def test_a_training_that_makes_another_network_is_warned_of(train: Any, told: str) -> None:
    with pytest.warns(GnnrlWarning, match=told):
        assert compressed(finetune=train).score["finetuned"] < 0


def test_a_training_that_is_no_function_is_refused_at_once() -> None:
    stages: list[str] = []
    with pytest.raises(ConfigError, match="finetune must be a function"):
        compressed(finetune=3, on_stage=stages.append)
    assert not stages


def test_error_curves_tell_how_far_they_are() -> None:
    told: list[tuple[int, int]] = []
    result = compressed(on_calibration=lambda done, total: told.append((done, total)))
    channels = sum(group.size for group in result.network.groups)
    assert told[-1] == (channels, channels)
    assert told == sorted(told)
    assert len(told) > len(result.network.groups)


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
