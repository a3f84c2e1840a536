"""What an older gnnrl wrote is read, reported and resumed by this one; see `fixtures/made_at_235a57c/README.md`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from typer.testing import CliRunner, Result

import gnnrl
from gnnrl.cli.app import app
from gnnrl.compression.comparison import Comparison
from gnnrl.errors import ArtifactError
from gnnrl.runs.directory import RunDirectory
from gnnrl.storage import formats
from gnnrl.zoo.networks import digits_resnet

MADE = Path(__file__).parent / "fixtures" / "made_at_235a57c"


@pytest.fixture(autouse=True)
def _copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work on copies: commands write beside what they read."""
    shutil.copytree(MADE, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str) -> Result:
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    return found


def refused(*arguments: str) -> str:
    """What a command says that does not take a file."""
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 6, found.output
    return found.stderr


def computed(result: str) -> dict[str, Tensor]:
    """Outputs and gradients of a result, as `make.py` computed them."""
    small = gnnrl.load(digits_resnet(), result).eval()
    outputs = small(torch.linspace(-1, 1, 8 * 64).reshape(8, 1, 8, 8))
    outputs.square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in small.named_parameters() if parameter.grad is not None}
    return {"outputs": outputs.detach(), **{name: gradients[name] for name in ("conv1.weight", "linear.bias")}}


def test_the_fixtures_stay_small_and_name_no_place() -> None:
    files = [path for path in MADE.rglob("*") if path.is_file() and path.name != "make.py"]
    assert sum(path.stat().st_size for path in files) < 2 * 2**20
    places = [path for path in files for place in (b"/home/", b"/tmp/", b"/root/") if place in path.read_bytes()]
    assert places == []


def test_a_result_computes_what_it_computed() -> None:
    torch.testing.assert_close(computed("small"), load_file(MADE / "outputs.safetensors"), rtol=1e-4, atol=1e-5)


def test_a_result_is_evaluated_as_it_was() -> None:
    told = run("evaluate", "small", "--json")
    assert json.loads(told.stdout)["score"] == pytest.approx(0.94, abs=0.004)


@pytest.mark.parametrize("file", ["small.onnx", "small.pt2", "small.py"])
def test_a_result_is_exported(file: str) -> None:
    if file.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    run("export", "small", "--model", "digits-resnet", "--out", file)
    assert Path(file).stat().st_size > 0


@pytest.mark.parametrize("result", ["small", "sweep"])
def test_its_report_is_written_again(result: str) -> None:
    Path(result, "report.html").unlink()
    run("report", result)
    page = Path(result, "report.html").read_text()
    assert "94.0" in page if result == "small" else "macs-6" in page


def test_a_comparison_is_read_and_not_repeated() -> None:
    found = Comparison.load("comparison/comparison.json")
    assert [row.searcher for row in found.rows()] == ["random", "evolution", "curves"]
    network = ("--model", "digits-resnet", "--pretrained", "--data", "digits", "--threads", "1")
    asked = ("--calibration-images", "100", "--constraint", "macs<=10%", "--episodes", "4", "--seeds", "1")
    run("compare", *network, *asked, "--searchers", "random,evolution,curves", "--out", "comparison")
    assert Comparison.load("comparison/comparison.json") == found


@pytest.mark.parametrize("result", ["small", "sweep"])
def test_what_is_finished_is_not_resumed(result: str) -> None:
    assert json.loads(run("resume", result, "--json").stdout)["finished"]


def rewritten(path: str, **changes: Any) -> None:
    file = Path(path)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("begun", ["searched.run", "tuned.run", "stopped.run"])
def test_a_run_of_a_newer_search_names_the_version_to_install(begun: str) -> None:
    rewritten(f"{begun}/settings.json", search=formats.SEARCH + 1, gnnrl="7.8.9")
    before = {path: path.read_bytes() for path in Path(begun).rglob("*") if path.is_file()}
    said = refused("resume", begun)
    assert "install gnnrl 7.8.9 to resume it, or start again in another directory" in " ".join(said.split())
    assert {path: path.read_bytes() for path in before} == before


def test_runs_of_an_older_search_name_the_version_that_made_them() -> None:
    for begun in ("searched", "tuned", "stopped"):
        assert "install gnnrl 0.1.0 to resume it" in " ".join(refused("resume", begun).split())
    assert "install gnnrl 0.1.0 to resume it" in " ".join(refused("resume", "small", "--extend", "5").split())
    run("report", "small")
    with RunDirectory("searched.run") as directory, pytest.raises(ArtifactError, match=r"install gnnrl 0\.1\.0"):
        directory.identify({})


def test_another_format_names_the_version_that_wrote_it() -> None:
    for path in ("small/manifest.json", "searched.run/settings.json", "comparison/comparison.json"):
        rewritten(path, format=2, gnnrl="7.8.9")
    with pytest.raises(ArtifactError, match=r"has format 2, .* reads 1: install gnnrl 7\.8\.9, which wrote it"):
        gnnrl.load(digits_resnet(), "small")
    with pytest.raises(ArtifactError, match=r"install gnnrl 7\.8\.9"):
        Comparison.load("comparison/comparison.json")
    assert "install gnnrl 7.8.9" in refused("resume", "searched")


def test_only_a_version_is_repeated_from_a_file() -> None:
    rewritten("small/manifest.json", format=2, gnnrl="7.8.9 --index-url elsewhere")
    with pytest.raises(ArtifactError, match="install a newer gnnrl"):
        gnnrl.load(digits_resnet(), "small")


def test_a_new_run_states_version_and_search() -> None:
    with RunDirectory("new.run") as directory:
        assert (directory.settings["gnnrl"], directory.settings["search"]) == (gnnrl.__version__, formats.SEARCH)
