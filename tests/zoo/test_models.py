"""From names to networks."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from gnnrl.errors import ArtifactError, ConfigError
from gnnrl.zoo.models import example_inputs, input_spec, resolve_model

needs_vision = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None or importlib.util.find_spec("torchvision") is None,
    reason="the vision extra is not installed",
)


def forward_shape(spec: str) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(resolve_model(spec).eval()(*example_inputs(spec)).shape)


@pytest.mark.parametrize("spec", ["cifar-resnet20", "cifar-resnet56", "digits-resnet"])
def test_own_networks_take_their_example_inputs(spec: str) -> None:
    assert forward_shape(spec) == (1, 10)


@needs_vision
@pytest.mark.parametrize(("spec", "side"), [("torchvision:mobilenet_v3_small", 224), ("timm:test_resnet", 160)])
def test_library_networks_take_their_example_inputs(spec: str, side: int) -> None:
    assert example_inputs(spec)[0].shape == (1, 3, side, side)
    assert forward_shape(spec) == (1, 1000)


@needs_vision
def test_library_networks_know_their_normalisation() -> None:
    assert input_spec("timm:test_resnet").mean == pytest.approx((0.5, 0.5, 0.5), abs=0.1)
    assert input_spec("torchvision:resnet18").mean == pytest.approx((0.485, 0.456, 0.406))
    assert input_spec("torchvision:inception_v3").shape == (1, 3, 299, 299)


def test_example_inputs_are_the_same_each_time_and_leave_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    assert torch.equal(example_inputs("digits-resnet")[0], example_inputs(input_spec("digits-resnet"))[0])
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("spec", "near"),
    [
        ("cifar-resnet", r"cifar-resnet\d+"),
        ("cifar_resnet20", "cifar-resnet20"),
        ("digit-resnet", "digits-resnet"),
        ("digits-resnet14", "digits-resnet"),
    ],
)
def test_unknown_name_is_answered_with_a_near_one(spec: str, near: str) -> None:
    for look_up in (resolve_model, input_spec):
        with pytest.raises(ConfigError, match=rf"no network '{spec}'; did you mean .*{near}.*timm:NAME"):
            look_up(spec)


@needs_vision
@pytest.mark.parametrize(
    ("spec", "near"), [("timm:convnext_tny", "convnext_tiny"), ("torchvision:resnet19", "resnet1[08]|resnet18")]
)
def test_unknown_library_network_is_answered_with_a_near_one(spec: str, near: str) -> None:
    for look_up in (resolve_model, input_spec):
        with pytest.raises(ConfigError, match=rf"has no network .* did you mean .*({near})"):
            look_up(spec)


@pytest.mark.parametrize(
    ("spec", "module"), [("timm:resnet18", "timm"), ("torchvision:resnet18", "torchvision.models")]
)
def test_missing_library_is_answered_with_the_extra(spec: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"run: .*pip install 'timm.*' torchvision"):
        resolve_model(spec)


@needs_vision
def test_weights_that_cannot_be_downloaded_are_an_error_of_the_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    def offline(*args: object, **kwargs: object) -> nn.Module:
        raise OSError("no network")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(ArtifactError, match=r"torchvision:resnet18 .* \(no network\)\. Download them yourself"):
        resolve_model("torchvision:resnet18", pretrained=True)


def test_cifar_networks_have_no_weights_of_their_own() -> None:
    with pytest.raises(ConfigError, match="no published weights in gnnrl; give a file of weights"):
        resolve_model("cifar-resnet20", pretrained=True)


def test_factory_in_a_file_may_import_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("WIDTH = 7\n")
    (tmp_path / "mine_for_test.py").write_text(
        "from dataclasses import dataclass\nfrom torch import nn\nfrom neighbour_of_mine import WIDTH\n"
        "@dataclass\nclass Settings:\n    width: int = WIDTH\n"
        "def build():\n    return nn.Linear(2, Settings().width)\n"
    )
    path = list(sys.path)
    model = resolve_model(f"{tmp_path / 'mine_for_test.py'}:build")
    assert isinstance(model, nn.Linear)
    assert model.out_features == 7
    assert sys.path == path


def test_factory_in_a_package_is_found_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package_for_test").mkdir()
    (tmp_path / "package_for_test" / "nets.py").write_text("from torch import nn\ndef build(): return nn.ReLU()\n")
    monkeypatch.chdir(tmp_path)
    assert isinstance(resolve_model("package_for_test.nets:build"), nn.ReLU)


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("def build(): ...", "biuld", r"there is no function 'biuld' in it; did you mean build\?"),
        ("def build(): return 3", "build", r"build\(\) returned int, not a torch\.nn\.Module"),
        ("def build(): raise KeyError('width')", "build", r"build\(\) failed with KeyError: 'width'"),
        ("def build(width): ...", "build", r"build\(\) failed with TypeError: .*width"),
        ("import nothing_like_this", "build", "failed with ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("def build(:", "build", "failed with SyntaxError"),
    ],
)
def test_faulty_factory_is_described(tmp_path: Path, source: str, name: str, message: str) -> None:
    (tmp_path / "faulty_for_test.py").write_text(source)
    with pytest.raises(ConfigError, match=message):
        resolve_model(f"{tmp_path / 'faulty_for_test.py'}:{name}")


def test_missing_file_and_missing_package_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*nothing\.py"):
        resolve_model(f"{tmp_path / 'nothing.py'}:build")
    with pytest.raises(ConfigError, match=r"importing nothing\.at\.all failed"):
        resolve_model("nothing.at.all:build")


def test_input_of_a_users_network_has_to_be_given() -> None:
    with pytest.raises(ConfigError, match="give the shape of its input"):
        input_spec("mine.py:build")


def test_importing_the_zoo_loads_neither_torchvision_nor_timm() -> None:
    code = "import sys, gnnrl.zoo.models, gnnrl.training; print({'timm', 'torchvision'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "set()"


def test_a_name_that_a_library_knows_is_suggested_with_the_library() -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(ConfigError, match="did you mean torchvision:resnet50"):
        resolve_model("resnet50")
