"""The command line: what it prints, what it refuses before any work, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import typer
from rich.console import Console
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from gnnrl.artifacts import bundle
from gnnrl.cli import console, follower, options, tables
from gnnrl.cli import training_options as tuning_options
from gnnrl.cli.app import app
from gnnrl.errors import GnnrlError
from gnnrl.network.description import describe
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.importance import CRITERIA
from gnnrl.pruning.reconstruction import REPAIRS
from gnnrl.scoring.plans import Trial
from gnnrl.searchers.table import SEARCHERS
from gnnrl.training import Metric
from gnnrl.zoo.batches import Augmentation
from gnnrl.zoo.digits import DIGITS_WEIGHTS
from gnnrl.zoo.models import example_inputs, resolve_model

ROOT = Path(__file__).parents[1]
FACTORY = """
import torch
from torch import nn


class Obstructed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3)
        self.second = nn.Conv2d(16, 8, 3)
        self.third = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.special.i0(self.second(x))  # no rule knows it
        return self.head(torch.relu(self.third(x)).mean((2, 3)))
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("own.py").write_text(FACTORY)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(code: int, *arguments: str) -> str:
    """Run a command that must be refused with one message and without leaving anything behind; return the message."""
    before = sorted(Path().rglob("*.*"))
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert not result.stdout
    _, error, message = result.stderr.partition("error: ")
    assert error, "no message"
    assert "Traceback" not in result.stderr
    assert [path for path in sorted(Path().rglob("*.*")) if "__pycache__" not in path.parts] == before
    return message


def prune(*arguments: str) -> tuple[str, ...]:
    return ("prune", "--model", "digits-resnet", "--weights", str(DIGITS_WEIGHTS), "--data", "digits", *arguments)


def in_a_process(*code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *code], capture_output=True, text=True, env=environment, check=False)


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = """
import sys
from gnnrl.cli.app import app
try:
    app(["--help"])
finally:
    print(sorted({"torch", "numpy", "torch_geometric", "scipy"} & set(sys.modules)))
"""
    start = time.process_time()
    done = in_a_process("-c", code)
    assert done.stdout.endswith("[]\n"), done.stderr
    assert all(
        command in done.stdout for command in ("demo", "inspect", "prune", "resume", "finetune", "evaluate", "export")
    )
    assert time.process_time() - start < 1


@pytest.mark.parametrize("command", ["demo", "inspect", "prune", "compare", "evaluate", "export", "resume", "finetune"])
def test_every_option_is_explained(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    told = result.stdout.split()
    for parameter in parameters:
        named = max(parameter.opts, key=len) if parameter.param_type_name == "option" else parameter.metavar
        assert named in told, named
        assert parameter.help, named


def test_help_begins_with_what_everybody_needs_and_is_short() -> None:
    text = run("prune", "--help").stdout
    first = text.partition("Start here")[2].partition("\n\n")[0]

    assert re.findall(r"^  (--\S+)", first, re.MULTILINE) == ["--model", "--data", "--weights", "--constraint", "--out"]
    assert text.index("gnnrl prune --model") < text.index("Start here")
    assert len(text.splitlines()) <= 120


def test_python_m_gnnrl_is_gnnrl_and_tells_its_version() -> None:
    done = in_a_process("-m", "gnnrl", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("gnnrl 0.")


def test_choices_are_those_of_the_library() -> None:
    assert tuple(SEARCHERS) == options.SEARCHERS
    assert set(get_args(options.Importance)) == {"curves", *CRITERIA}
    assert set(get_args(options.Repair)) == set(REPAIRS)
    assert set(get_args(options.Metric)) == set(get_args(Metric))
    assert set(get_args(tuning_options.Augmentation)) == set(get_args(Augmentation))


def test_demo_prints_one_object_and_saves_a_network_that_evaluates_to_its_score() -> None:
    threads = torch.get_num_threads()
    result = run("demo", "--json", "--episodes", "3", "--out", "small")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert set(facts["score"]) == {"dense", "pruned", "repaired", "finetuned"}
    assert facts["score"]["finetuned"] > facts["score"]["dense"] - 0.02
    assert 0.97 * facts["macs"]["dense"] / 2 <= facts["macs"]["pruned"] <= facts["macs"]["dense"] / 2
    assert facts["params"]["pruned"] < facts["params"]["dense"]
    assert facts["file_bytes"]["pruned"] == Path("small/weights.safetensors").stat().st_size
    assert facts["latency_ms"]["dense"] > 0
    assert facts["seconds"] > 0
    assert (facts["out"], facts["seed"], facts["evaluations"]) == ("small", 0, 3)
    assert torch.get_num_threads() == threads
    again = run("evaluate", "small", "--model", "digits-resnet", "--data", "digits", "--json")
    assert json.loads(again.stdout)["score"] == facts["score"]["finetuned"]
    assert "is not empty" in refused(2, "demo", "--out", "small")


def test_a_saved_result_is_exported_in_every_format() -> None:
    result = run(*prune("--searcher", "curves", "--finetune-epochs", "0", "--out", "small", "--json"))
    assert result.exit_code == 0, result.output
    small = ("export", "small", "--model", "digits-resnet")
    told = run(*small, "--out", "small.onnx")
    assert told.exit_code == 0, told.output
    assert "batch of any size" in told.stdout
    assert "differs from PyTorch by" in told.stdout
    told = run(*small, "--out", "small.pt2", "--static-batch")
    assert "the batch is fixed: a fixed batch was asked for" in told.stdout, told.output
    facts = json.loads(run(*small, "--format", "patch", "--out", "narrow.py", "--json").stdout)
    assert facts["files"] == ["narrow.py", "narrow.pt"]
    assert facts["size"] == sum(Path(name).stat().st_size for name in facts["files"])
    assert "is there already" in refused(2, *small, "--out", "narrow.py")
    assert "onnx (.onnx)" in refused(2, *small, "--out", "small.tflite")
    assert "another network" in refused(6, "export", "small", "--model", "cifar-resnet20", "--out", "other.py")


def test_demo_shows_two_tables_and_takes_a_free_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "PAUSE", 0.0)
    Path("gnnrl-demo").mkdir()
    Path("gnnrl-demo/precious.txt").touch()
    result = run("demo", "--episodes", "1")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "Accuracy on 500 test images may be" in result.stdout
    for shown in ("fine-tuned", "MACs", "parameters", "file", "ms an image", "layer3.1.conv1", "Saved in gnnrl-demo-2"):
        assert shown in result.stdout
    assert "\x1b" not in result.output
    assert "searching" in result.stderr
    assert "best loss" in result.stderr
    assert bundle.read_manifest("gnnrl-demo-2")["evaluations"] == 1


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
    monkeypatch.setattr("gnnrl.zoo.data.load_data", lambda *_, **__: pytest.fail("the data was read"))
    assert message in refused(code, *prune("--out", "small", *arguments))


def test_a_limit_on_latency_tells_what_was_measured() -> None:
    settings = ("--searcher", "curves", "--finetune-epochs", "0", "--threads", "1", "--calibration-images", "32")
    result = run(*prune("--constraint", "latency<=75%", "--json", *settings))

    facts = json.loads(result.stdout)["latency_limit"]
    assert facts["limit_ms"] == pytest.approx(0.75 * facts["dense_ms"], rel=0.01)
    assert facts["used"] == pytest.approx(facts["pruned_ms"] / facts["limit_ms"], abs=0.01)


def test_a_sweep_saves_a_network_for_each_limit() -> None:
    settings = ("--searcher", "curves", "--finetune-epochs", "0", "--threads", "1", "--calibration-images", "32")
    result = run(*prune("--constraint", "params<=50%", "--sweep", "70%,40%,macs<=50%", "--out", "sweep", *settings))

    assert result.exit_code == 0, result.output
    points = json.loads(Path("sweep/sweep.json").read_text())["points"]
    assert [point["constraint"] for point in points] == ["params<=70%", "params<=40%", "macs<=50%"]
    assert points[0]["size"] > points[2]["size"] > points[1]["size"]
    assert Path("sweep/sweep.svg").is_file()
    page = Path("sweep/report.html")
    text = page.read_text()
    page.unlink()
    assert json.loads(run("report", "sweep", "--json").stdout) == {"report": str(page), "bytes": len(text.encode())}
    assert page.read_text() == text
    for point in points:
        assert point["constraint"] in result.stdout
        bundle.load(resolve_model("digits-resnet"), point["out"])
        link = f"{Path(point['out']).name}/report.html"
        assert f'href="{link}"' in text
        assert (page.parent / link).is_file()


def test_amounts_of_a_sweep_need_one_metric() -> None:
    message = refused(2, *prune("--constraint", "macs<=50%,params<=50%", "--sweep", "70%,40%"))

    assert "write macs<=50% instead of 50%" in message


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


def test_errors_are_objects_with_json() -> None:
    result = run("inspect", "digit-resnet", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "ConfigError"


def test_a_fault_of_gnnrl_ends_with_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("gnnrl.zoo.models.resolve_model", fail)
    with pytest.raises(RuntimeError, match="a fault"):
        CliRunner().invoke(app, ["inspect", "digits-resnet"], catch_exceptions=False)


def test_inspect_prints_sizes_groups_and_what_is_frozen() -> None:
    result = run("inspect", "digits-resnet", "--constraint", "macs<=50%")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    for shown in ("1,631,872 MACs", "layer3.1.conv1", "pad inserts", "networks.py:", "linear", "can be met"):
        assert shown in result.stdout
    assert result.stdout.count("pad inserts") == 1


def test_inspect_names_the_line_that_stands_in_the_way() -> None:
    result = run("inspect", "own.py:Obstructed", "--input-shape", "1,3,16,16")
    assert result.exit_code == 0, result.output
    line = next(number for number, text in enumerate(FACTORY.splitlines(), 1) if "special.i0" in text)
    assert "special_i0 has no rule" in result.stdout
    assert f"own.py:{line}" in result.stdout
    assert "keeps second" in result.stdout
    facts = json.loads(run("inspect", "own.py:Obstructed", "--input-shape", "1,3,16,16", "--json").stdout)
    assert [group["name"] for group in facts["shrinking"]] == ["first", "third"]
    assert facts["smallest"]["macs"] < facts["dense"]["macs"]
    assert "input" in refused(2, "inspect", "own.py:Obstructed")


def test_description_is_the_text_of_inspect() -> None:
    network = trace(resolve_model("digits-resnet"), example_inputs("digits-resnet"))
    described, _, rules = run("inspect", "digits-resnet").stdout.rstrip("\n").partition("\n\nRules: ")
    assert describe(network) == described
    assert rules == "widths are multiples of 8 (or smaller) in 2 groups, of 1 in 5 groups."


def test_compare_prints_a_table_draws_a_figure_and_goes_on() -> None:
    settings = ("compare", *prune()[1:], "--metric", "loss", "--episodes", "3", "--seeds", "2", "--out", "arms")
    result = run(*settings, "--searchers", "random,curves")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert all(shown in result.stdout for shown in ("random", "curves", "spread", "test", "arms/comparison.svg"))
    assert Path("arms/comparison.svg").read_text().rstrip().endswith("</svg>")
    again = run(*settings, "--searchers", "curves,random", "--json")
    facts = json.loads(again.stdout)
    assert [row["searcher"] for row in facts["rows"]] == ["random", "curves"]
    assert json.loads(Path("arms/comparison.json").read_text())["runs"] == facts["runs"]
    assert facts["missing"] == []
    assert "random, seed 0" not in again.stderr
    assert "other settings" in refused(2, *settings, "--searchers", "random", "--episodes", "4")


def test_compare_says_what_is_kept_when_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(follower.Follower):
        plans = 0

        def judged(self, trial: Trial) -> None:
            super().judged(trial)
            Stopping.plans += 1
            if Stopping.plans in (1, 5):
                signal.raise_signal(signal.SIGINT if Stopping.plans == 1 else signal.SIGTERM)

    settings = ("compare", *prune()[1:], "--metric", "loss", "--episodes", "3", "--seeds", "1", "--out", "arms")
    settings = (*settings, "--searchers", "random,annealing", "--calibration-images", "32")
    monkeypatch.setattr(follower, "Follower", Stopping)
    told = [" ".join(stopped.stderr.split()) for stopped in (run(*settings), run(*settings))]
    assert "No run was finished; the same command goes on with the others." in told[0]
    assert "Finished runs are kept in arms/comparison.json; the same command goes on with the others." in told[1]
    assert json.loads(run(*settings, "--json").stdout)["missing"] == []


def test_compare_refuses_names_before_it_loads_anything() -> None:
    settings = ("compare", *prune()[1:], "--searchers")
    assert "--searchers names ppo twice" in refused(2, *settings, "ppo,random, ppo")
    usage = " ".join(run(*settings, "ppo,foo").stderr.split())
    assert "there is no searcher 'foo'. There are ppo," in usage


def test_prune_takes_a_searcher_of_the_users_own() -> None:
    Path("mine.py").write_text("def widest(task):\n    task.score(task.prior(task.projection))\n")
    own = prune("--searcher", "mine.py:widest", "--finetune-epochs", "0", "--out", "small", "--json")
    facts = json.loads(run(*own).stdout)
    assert facts["evaluations"] == 1
    assert "did you mean widest" in refused(2, *prune("--searcher", "mine.py:widst", "--out", "other"))


@pytest.mark.parametrize(
    ("command", "foreign", "ours"),
    [
        ("prune", "--lr", "--learning-rate"),
        ("prune", "--epoch=3", "--finetune-epochs"),
        ("compare", "--trials", "--episodes"),
    ],
)
def test_options_of_other_programs_are_understood(command: str, foreign: str, ours: str) -> None:
    told = run(command, "--model", "digits-resnet", foreign, "3")
    assert told.exit_code == 2
    assert f"did you mean {ours}?" in " ".join(told.stderr.split())


@pytest.mark.parametrize(("option", "value", "meant"), [("--executor", "rya", "ray"), ("--repair", "nnoe", "none")])
def test_a_value_that_is_misspelt_gets_the_nearest(option: str, value: str, meant: str) -> None:
    told = run("prune", option, value)
    assert told.exit_code == 2
    assert f"Did you mean {meant}?" in " ".join(told.stderr.split())


def test_a_line_with_an_option_of_another_program_is_still_completed() -> None:
    words = {"_GNNRL_COMPLETE": "complete_bash", "COMP_WORDS": "gnnrl prune --lr 3 --impo", "COMP_CWORD": "4"}
    told = subprocess.run(
        [sys.executable, "-c", "from gnnrl.cli.app import main; main()"],
        env={**os.environ, **words},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.split() == ["--importance"]
    assert not told.stderr


def test_a_sweep_leaves_other_peoples_files_alone() -> None:
    Path("web").mkdir()
    Path("web/report.html").write_text("my homepage")
    Path("swept/macs-30").mkdir(parents=True)
    Path("swept/macs-30/mine.txt").touch()
    for folder, entry in (("web", "report.html"), ("swept", "macs-30")):
        message = refused(2, *prune("--sweep", "50%,30%", "--searcher", "curves", "--out", folder))
        assert f"{folder} holds {entry}, which is no part of a sweep" in message
    assert Path("web/report.html").read_text() == "my homepage"
    assert [path.name for path in Path("swept").iterdir()] == ["macs-30"]


def test_tables_of_large_networks_stay_within_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {
        "score": {"dense": 0.8, "pruned": 0.1, "repaired": 0.7, "finetuned": 0.79},
        "test_images": 50_000,
        "macs": {"dense": 19_632_062_464, "pruned": 9_816_031_232},
        "params": {"dense": 143_667_240, "pruned": 71_833_620},
        "file_bytes": {"dense": 574_668_960, "pruned": 287_334_480},
        "latency_ms": {"dense": 1234.5, "pruned": 617.2},
        "images_per_second": {"dense": 1.2, "pruned": 2.4},
        "threads": 64,
        "layers": [{"name": f"layers.{n}.block.conv1", "dense": 512, "pruned": 512 - 5 * n} for n in range(60)],
        "verified_difference": None,
        "out": "small",
        "seconds": 3600.0,
    }
    tables.show_result(Console(width=80), facts, [["gnnrl", "evaluate", "a folder"]])
    shown = capsys.readouterr().out
    assert "Fine-tuning lost" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "19,632 M" in shown
    assert "and 20 layers that lose less" in shown
    assert "'a folder'" in shown
    facts["score"] = {"dense": 0.8, "repaired": 0.7, "finetuned": 0.68}
    tables.show_result(Console(width=80), facts, [])
    shown = capsys.readouterr().out
    assert "Fine-tuning lost 2.0 points: take a smaller --learning-rate" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_exit_codes_are_documented() -> None:
    codes = {error.exit_code for error in GnnrlError.__subclasses__()}
    assert codes <= {1, 2, 3, 4, 5, 6, 7, 8, 9}


OWN = ("own.py:Obstructed", "--input-shape", "1,3,16,16")


def test_inspect_tells_obstacles_from_inputs_and_outputs_with_share_and_remedy() -> None:
    told = run("inspect", *OWN).stdout
    assert "To do: use another operation here" in told
    assert re.search(r"Frozen by code \([0-9.]+% of the MACs\)", told)
    assert "Outputs of the network keep their size" in told
    facts = json.loads(run("inspect", *OWN, "--json").stdout)
    roles = {group["name"]: group["role"] for group in facts["frozen"]}
    assert roles == {"first:2": "input", "second": "obstacle", "third:2": "input", "head": "output"}
    (reason, *_) = next(group for group in facts["frozen"] if group["name"] == "second")["reasons"]
    assert (reason["kind"], reason["operation"]) == ("no-rule", "special_i0")
    assert re.search(r"own\.py:[0-9]+$", reason["location"])
    (obstacle,) = facts["obstacles"]
    assert obstacle["kind"] == "no-rule"
    assert obstacle["macs_share"] == pytest.approx(facts["frozen_macs_share"])
    assert obstacle["macs_share"] > 0.1


def test_rules_show_in_inspect() -> None:
    bounds = ("--bounds", "layer2=0.25:0.5", "--bounds", "layer3.*=4:8", "--keep", "layer1", "--round-to", "4")
    facts = json.loads(run("inspect", "digits-resnet", *bounds, "--json").stdout)
    widths = {row["name"]: (row["narrowest"], row["widest"]) for row in facts["shrinking"]}
    assert widths["layer1.0.conv1"] == (16, 16)
    assert widths["layer2.1.conv1"] == (8, 16)
    assert widths["layer3.1.conv1"] == (4, 8)
    assert facts["rules"]["rounding"] == "widths are multiples of 4 in 4 groups; 3 groups stay whole"
    assert list(facts["rules"]["fixed"]) == ["keep 'layer1'"]
    assert "round-to" in refused(2, "inspect", "digits-resnet", "--round-to", "eight")
    assert "did you mean stream" in refused(2, "inspect", "digits-resnet", "--only", "steam")
    only = json.loads(run("inspect", "digits-resnet", "--only", "stream", "--json").stdout)
    assert {row["kind"] for row in only["shrinking"] if row["narrowest"] < row["widest"]} == {"stream"}


def test_more_plans_than_anybody_can_judge_are_refused() -> None:
    told = run(*prune("--episodes", "99999999999999999999999", "--out", "small"))
    assert (told.exit_code, "less than or equal to" in told.stderr) == (2, True)


def test_a_dry_run_tells_range_rules_and_time_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrl.compression.study.Study.compress", lambda *_, **__: pytest.fail("it searched"))
    arguments = prune("--dry-run", "--out", "small", "--keep", "layer1.0", "--threads", "1")
    told = run(*arguments)
    assert told.exit_code == 0, told.output
    assert max(map(len, told.stdout.splitlines())) <= 80
    for shown in ("no limit can be lower", "keep 'layer1.0' fixes", "can be met", "Time: about", "Nothing was written"):
        assert shown in told.stdout
    assert not Path("small").exists()
    facts = json.loads(run(*arguments, "--json").stdout)
    assert facts["smallest"]["macs"] < facts["limits"]["macs"] < facts["dense"]["macs"]
    assert facts["estimated_seconds"]["search"] > 0
    assert 0 < facts["closed_form"]["reward"] <= 1
    assert "The plan of curves" in told.stdout
    assert "cannot be met" in refused(4, *arguments, "--constraint", "macs<=1%")


def test_a_dry_run_judges_the_plan_of_the_closed_form_that_is_asked_for() -> None:
    asked = ("--dry-run", "--metric", "kl", "--reward-images", "50", "--searcher", "uniform", "--repair", "none")
    told = run(*prune(*asked))
    assert "The plan of uniform, without search and fine-tuning: kl" in told.stdout
    assert "(1 plan of" in told.stdout
    Path("other").mkdir()
    Path("other/file").touch()
    assert "other is not empty" in refused(2, *prune(*asked, "--out", "other"))


def test_users_prints_go_to_stderr_and_escape_codes_nowhere() -> None:
    shouting = FACTORY.replace("        super()", "        print('hello from the factory')\n        super()")
    Path("own.py").write_text(
        f"{shouting}\n\ndef failing():\n    raise ValueError('\\x1b[31mred\\x1b]0;title\\x07 end')\n"
    )
    result = run("inspect", *OWN, "--json")
    assert json.loads(result.stdout)["model"] == "own.py:Obstructed"
    assert "hello from the factory" in result.stderr
    done = in_a_process("-m", "gnnrl", "inspect", "own.py:failing", *OWN[1:], "--json")
    assert done.returncode != 0
    assert "red end" in done.stderr
    assert "red end" in json.loads(done.stdout)["error"]["message"]
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\u001b" not in done.stdout


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [(KeyboardInterrupt(), 130, "KeyboardInterrupt"), (RuntimeError("a fault"), 1, "RuntimeError")],
)
def test_json_is_one_object_however_a_command_ends(
    error: BaseException, code: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("gnnrl.zoo.models.resolve_model", fail)
    result = run("inspect", "digits-resnet", "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["error"]["type"] == name
    usage = run("inspect", "digits-resnet", "--jsom", "--json")
    assert usage.exit_code == 2
    assert "--jsom" in json.loads(usage.stdout)["error"]["message"]
