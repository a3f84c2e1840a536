"""`gnnrl prune`: limits, rules and rewards, and what is refused before any work."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gnnrl.zoo.digits import DIGITS_WEIGHTS
from tests.cli.running import FACTORY, prune, refused, run

pytestmark = pytest.mark.usefixtures("folder")


def test_prune_meets_several_limits_with_the_rules_of_the_user() -> None:
    limits = ("--constraint", "macs<=60%,params<=90k", "--round-to", "4", "--keep", "layer1.*")
    result = run(*prune(*limits, "--searcher", "curves", "--finetune-epochs", "0", "--out", "small", "--json"))
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert set(facts["score"]) == {"dense", "pruned", "repaired"}
    assert facts["params"]["pruned"] <= 90_000
    widths = {layer["name"]: layer for layer in facts["layers"]}
    assert widths["layer1.0.conv1"]["pruned"] == widths["layer1.0.conv1"]["dense"] == 16
    assert all(layer["pruned"] % 4 == 0 for layer in facts["layers"])
    stages = facts["stage_seconds"]
    assert [*stages] == ["load", "trace", "calibrate", "curves", "weigh", "search", "verify", "test", "speed"]
    assert min(stages["load"], stages["speed"]) > 0
    assert sum(stages.values()) <= facts["seconds"] + 0.01 * len(stages)


def test_prune_judges_by_the_divergence_on_a_few_images() -> None:
    reward = ("--metric", "kl", "--reward-images", "40", "--searcher", "curves", "--finetune-epochs", "0")
    facts = json.loads(run(*prune(*reward, "--out", "small", "--json")).stdout)
    assert facts["reward"]["metric"] == "kl"
    assert -1 < facts["reward"]["best"] < 0
    other = json.loads(run(*prune(*reward, "--reward-images", "80", "--out", "other", "--json")).stdout)
    assert other["reward"]["best"] != facts["reward"]["best"]


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ("--constraint", "macs=50"), "macs<=50%"),
        (2, ("--constraint", "macs<=150%"), "below 100%"),
        (2, ("--keep", "layer9.*"), "layer9"),
        (2, ("--device", "abacus"), "abacus"),
        (2, ("--input-shape", "1,two,8,8"), "--input-shape"),
        (2, ("--input-shape", "1,3,8,8"), "does not run"),
        (2, ("--weights", str(DIGITS_WEIGHTS), "--out", "taken"), "not empty"),
        (4, ("--constraint", "macs<=0.5%"), "cannot be met"),
        (2, ("--constraint", "macs<=5M,params<=1G"), "nothing to prune; give a lower limit"),
        (4, ("--constraint", "macs<=50%", "--min-width", "16"), "min_width"),
        (6, ("--weights", "nowhere.pth"), "nowhere.pth"),
        (6, ("--weights", "other.safetensors"), "the weights do not fit"),
    ],
)
def test_prune_refuses_before_it_reads_the_data(
    code: int, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("taken").mkdir()
    Path("taken/precious.txt").touch()
    save_file({"conv1.weight": torch.zeros(3, 3)}, "other.safetensors")
    monkeypatch.setattr("gnnrl.cli.loading.load_data", lambda *_, **__: pytest.fail("the data was read"))
    assert message in refused(code, *prune("--out", "small", *arguments))


def test_a_limit_on_latency_tells_what_was_measured() -> None:
    settings = ("--searcher", "curves", "--finetune-epochs", "0", "--threads", "1", "--calibration-images", "32")
    result = run(*prune("--constraint", "latency<=75%", "--json", *settings))

    facts = json.loads(result.stdout)["latency_limit"]
    assert facts["limit_ms"] == pytest.approx(0.75 * facts["dense_ms"], rel=0.01)
    assert facts["used"] == pytest.approx(facts["pruned_ms"] / facts["limit_ms"], abs=0.01)


def test_unknown_names_are_refused_with_a_suggestion() -> None:
    assert "digits-resnet" in refused(2, "inspect", "digit-resnet")
    assert "cifar-resnet20" in refused(2, "prune", "--model", "cifar-resnet200x", "--pretrained", "--data", "digits")
    assert "--weights" in refused(2, "prune", "--model", "cifar-resnet20", "--data", "digits")


@pytest.mark.parametrize(
    "arguments", [("--searcher", "pro"), ("--learning-rate", "nan"), ("--episodes", "0"), ("--epsiodes", "3")]
)
def test_a_wrong_command_line_ends_with_two_and_names_the_option(arguments: tuple[str, str]) -> None:
    usage = run(*prune(*arguments))
    assert usage.exit_code == 2
    assert arguments[0] in usage.stderr


def test_data_that_does_not_fit_is_refused() -> None:
    assert "nowhere" in refused(5, *prune("--data", "nowhere"))
    shape = ("--input-shape", "1,3,16,16")
    assert "8x8" in refused(2, "prune", "--model", "own.py:Obstructed", *shape, "--data", "digits")


def test_a_network_that_cannot_be_finetuned_is_refused_before_the_search() -> None:
    Path("own.py").write_text(f"{FACTORY}\n\ndef fixed():\n    return Obstructed().requires_grad_(False)\n")
    message = refused(2, "prune", "--model", "own.py:fixed", "--input-shape", "1,3,16,16", "--data", "digits")
    assert "--finetune-epochs 0" in message


def test_prune_takes_a_searcher_of_the_users_own() -> None:
    Path("mine.py").write_text("def widest(task):\n    task.score(task.prior(task.projection))\n")
    own = prune("--searcher", "mine.py:widest", "--finetune-epochs", "0", "--out", "small", "--json")
    facts = json.loads(run(*own).stdout)
    assert facts["evaluations"] == 1
    assert "did you mean widest" in refused(2, *prune("--searcher", "mine.py:widst", "--out", "other"))


def test_more_plans_than_anybody_can_judge_are_refused() -> None:
    told = run(*prune("--episodes", "99999999999999999999999", "--out", "small"))
    assert (told.exit_code, "less than or equal to" in told.stderr) == (2, True)


TELLING = """
import torch
from torch import nn


class Telling(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 8, 3), nn.Linear(8, 10)

    def forward(self, x):
        hidden = torch.relu(self.first(x))
        return {"hidden": hidden, "logits": self.head(torch.relu(self.second(hidden)).mean((2, 3)))}
"""


def test_outputs_that_count_are_said_once_and_hold_for_every_command() -> None:
    Path("telling.py").write_text(TELLING)
    network = ("--model", "telling.py:Telling", "--input-shape", "1,1,8,8", "--mean", "0.5", "--std", "0.5")
    asked = (*network, "--data", "digits", "--outputs", "logits", "--constraint", "macs<=30%", "--untrained")
    search = ("--searcher", "curves", "--metric", "kl", "--reward-images", "40", "--finetune-epochs", "1")
    result = run("prune", *asked, *search, "--out", "small", "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert next(layer for layer in facts["layers"] if layer["name"] == "first")["pruned"] < 16

    again = run("evaluate", "small", *network, "--json")
    assert again.exit_code == 0, again.output
    named = network[1:4]
    shown = json.loads(run("inspect", *named, "--outputs", "logits", "--json").stdout)
    assert {group["name"] for group in shown["shrinking"]} == {"first", "second"}
    assert "loss" in refused(2, "inspect", *named, "--outputs", "loss")
