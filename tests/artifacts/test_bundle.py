import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import gnnrl
from gnnrl.artifacts import bundle
from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.network.surgery import remove
from tests.artifacts.networks import small
from tests.topologies import TOPOLOGIES, topology, traced

PRUNABLE = sorted(name for name in TOPOLOGIES if traced(name).network.groups)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model, plan = small()
    return bundle.save(tmp_path / "out", model, plan, {"constraint": "macs<=50%"})


@pytest.mark.parametrize("name", PRUNABLE)
def test_what_is_saved_is_what_is_loaded(name: str, tmp_path: Path) -> None:
    model, plan = small(name)
    network = traced(name).network
    bundle.save(tmp_path / "out", model, plan, {"attributes": network.stated(network.alive(plan.kept or ()))})
    case, dense = traced(name), topology(name).model
    before = {key: value.clone() for key, value in dense.state_dict().items()}

    loaded = bundle.load(dense, tmp_path / "out").eval()

    for (key, a), b in zip(loaded.state_dict().items(), model.state_dict().values(), strict=True):
        assert torch.equal(a, b), key
    assert all(torch.equal(value, before[key]) for key, value in dense.state_dict().items())
    assert type(loaded) is type(dense)
    if isinstance(case.example_inputs, torch.Tensor):
        with torch.no_grad():
            expected, found = model(case.example_inputs), loaded(case.example_inputs)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_fresh_process_computes_the_same_to_the_bit(saved: Path, tmp_path: Path) -> None:
    case = traced("residual")
    with torch.no_grad():
        torch.save(small()[0](case.example_inputs), tmp_path / "expected.pt")
    torch.save(case.example_inputs, tmp_path / "x.pt")
    script = f"""
import torch
torch.set_num_threads(1)
import gnnrl
from tests.topologies import topology
model = gnnrl.load(topology("residual").model, r"{saved}").eval()
x, expected = (torch.load(rf"{tmp_path}/{{name}}.pt", weights_only=True) for name in ("x", "expected"))
with torch.no_grad():
    assert torch.equal(model(x), expected)
"""
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr


def test_a_result_is_three_files_and_no_pickle(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["manifest.json", "plan.json", "weights.safetensors"]
    manifest = json.loads((saved / "manifest.json").read_text())
    assert manifest["constraint"] == "macs<=50%"
    assert bundle.read_plan(saved) == bundle.read_plan(saved / "plan.json") == small()[1]


@pytest.mark.parametrize("name", ["weights.safetensors", "plan.json"])
def test_tampered_files_are_refused(saved: Path, name: str) -> None:
    content = bytearray((saved / name).read_bytes())
    content[-2] ^= 1
    (saved / name).write_bytes(content)

    with pytest.raises(ArtifactError, match=f"{name} is damaged"):
        bundle.load(topology("residual").model, saved)


@pytest.mark.parametrize("name", ["weights.safetensors", "plan.json", "manifest.json"])
def test_missing_files_are_refused(saved: Path, name: str) -> None:
    (saved / name).unlink()

    with pytest.raises(ArtifactError, match=f"{name}"):
        bundle.load(topology("residual").model, saved)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "3",
        '{"format": 2}',
        '{"format": 1}',
        '{"format": 1, "sha256": {"../../etc/passwd": "x"}}',
        "[" * 10**5,
    ],
)
def test_damaged_manifests_are_refused(saved: Path, content: str) -> None:
    (saved / "manifest.json").write_text(content)

    with pytest.raises(ArtifactError):
        bundle.load(topology("residual").model, saved)


def test_links_are_not_followed(saved: Path, tmp_path: Path) -> None:
    (saved / "plan.json").rename(tmp_path / "elsewhere.json")
    (saved / "plan.json").symlink_to(tmp_path / "elsewhere.json")

    with pytest.raises(ArtifactError, match="a link"):
        bundle.load(topology("residual").model, saved)


def test_another_class_is_refused_by_its_first_differences(saved: Path) -> None:
    with pytest.raises(ArtifactError, match=r"another network than Sequential.*2\.0\.weight"):
        bundle.load(topology("chain").model, saved)


def test_a_network_narrower_than_the_saved_one_is_refused(saved: Path) -> None:
    case = traced("residual")
    narrow = remove(case.model, case.network, [[0], [0], [0]])

    with pytest.raises(ArtifactError, match="in the file"):
        bundle.load(narrow, saved)


def test_a_network_wider_than_the_one_that_was_pruned_is_refused(tmp_path: Path) -> None:
    def chain(width: int, outputs: int, kernel: int = 1) -> nn.Module:
        layers = [nn.Conv2d(3, width, kernel), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(width, outputs))

    model, x = chain(8, 4), torch.randn(4, 3, 5, 5)
    result = gnnrl.compress(model, x, "macs<=60%", evaluate=lambda small: 0.0, calibration=[x], searcher="curves")
    out = result.save(tmp_path / "out")

    for other in (chain(8, 7), chain(12, 4), chain(8, 4, kernel=3)):
        with pytest.raises(ArtifactError, match=r"in the one that was pruned.* Give the class and settings"):
            gnnrl.load(other, out)
    torch.testing.assert_close(gnnrl.load(chain(8, 4), out)(x), result.model(x))


def test_a_network_without_data_is_filled(saved: Path) -> None:
    empty = topology("residual").model.to("meta")

    loaded = bundle.load(empty, saved).eval()

    x = traced("residual").example_inputs
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), small()[0](x))


def test_a_directory_that_holds_something_is_refused_and_left_alone(saved: Path) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    model, plan = small()

    with pytest.raises(ConfigError, match="not empty"):
        bundle.save(saved, model, plan, {})
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    bundle.save(saved, model, plan, {"again": True}, force=True)
    assert bundle.read_manifest(saved)["again"]
    assert [path.name for path in saved.parent.iterdir()] == ["out"]


def test_an_empty_directory_is_filled_and_a_file_is_not(tmp_path: Path) -> None:
    model, plan = small()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")

    bundle.save(tmp_path / "empty", model, plan, {})
    with pytest.raises(ConfigError, match="is a file"):
        bundle.save(tmp_path / "file", model, plan, {})
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
def test_a_failure_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool) -> None:
    model, plan = small()
    if force:
        bundle.save(tmp_path / "out", model, plan, {"first": True})

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(bundle, "publish_folder", fail)
    with pytest.raises(OSError, match="disk full"):
        bundle.save(tmp_path / "out", model, plan, {}, force=force)

    assert [path.name for path in tmp_path.iterdir()] == (["out"] if force else [])
    if force:
        assert bundle.read_manifest(tmp_path / "out")["first"]


def test_facts_that_are_not_json_leave_nothing_behind(tmp_path: Path) -> None:
    model, plan = small()

    with pytest.raises(TypeError):
        bundle.save(tmp_path / "out", model, plan, {"model": model})
    assert not list(tmp_path.iterdir())


def test_tied_weights_are_stored_once_and_tied_again(tmp_path: Path) -> None:
    model, plan = small("tied_embedding")
    bundle.save(tmp_path / "out", model, plan, {})

    loaded = bundle.load(topology("tied_embedding").model, tmp_path / "out")

    assert loaded.decoder.weight is loaded.embedding.weight


def test_requires_grad_is_that_of_the_fresh_network(saved: Path) -> None:
    dense = topology("residual").model
    dense[0][0].weight.requires_grad_(False)

    loaded = bundle.load(dense, saved)

    assert not loaded[0][0].weight.requires_grad
    assert loaded[1].conv1[0].weight.requires_grad
    assert loaded[0][0].out_channels == 6


@pytest.mark.parametrize(
    "entry",
    [
        {"module": "", "attribute": "heads", "position": None, "size": -1},
        {"module": "", "attribute": "heads", "position": None, "size": "2"},
        {"module": "", "attribute": "forward", "position": None, "size": 2},
        {"module": "", "attribute": "__class__", "position": None, "size": 2},
        {"module": "nowhere", "attribute": "heads", "position": None, "size": 2},
        {"module": "", "attribute": "heads", "size": 2},
        "heads",
        [3],
    ],
)
def test_a_manifest_cannot_set_what_the_network_does_not_state(tmp_path: Path, entry: object) -> None:
    model, plan = small("stated_heads")
    bundle.save(tmp_path / "out", model, plan, {"attributes": [entry]})

    with pytest.raises(ArtifactError, match="does not have"):
        bundle.load(topology("stated_heads").model, tmp_path / "out")


def test_a_directory_of_something_else_is_not_replaced_even_by_force(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("mine")
    model, plan = small()

    with pytest.raises(ConfigError, match="not a saved result"):
        bundle.save(tmp_path / "photos", model, plan, {}, force=True)
    assert (tmp_path / "photos" / "cat.png").read_text() == "mine"


def test_a_sweep_is_no_result_and_its_results_are_named(tmp_path: Path) -> None:
    for name in ("macs-50", "macs-30"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    (tmp_path / "sweep.json").touch()
    with pytest.raises(ArtifactError, match=r"holds the results of a sweep; give one of them: macs-30, mac"):
        bundle.load(nn.Linear(2, 2), tmp_path)
