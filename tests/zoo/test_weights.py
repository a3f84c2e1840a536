"""Files of weights: what is loaded, and what is refused."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from gnnrl.errors import ArtifactError
from gnnrl.zoo.networks import cifar_resnet, digits_resnet
from gnnrl.zoo.weights import load_weights


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight


def small(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def refused(model: nn.Module, path: Path, message: str) -> str:
    """Check that a file is refused by name, and that the network is left as it was."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ArtifactError, match=message) as error:
        load_weights(model, path)
    assert str(error.value).startswith(str(path))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return str(error.value)


@pytest.mark.parametrize(
    "wrap", [dict, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": {"state_dict": s}}]
)
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_state_dicts_are_unwrapped(tmp_path: Path, wrap: Callable[[object], object], prefix: str) -> None:
    source, model = small(0), small(1)
    torch.save(wrap({prefix + name: tensor for name, tensor in source.state_dict().items()}), tmp_path / "w.pth")
    load_weights(model, tmp_path / "w.pth")
    assert same(source, model)


def test_safetensors_are_loaded(tmp_path: Path) -> None:
    source, model = small(0), small(1)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_weights(model, str(tmp_path / "w.safetensors"))
    assert same(source, model)


def test_tied_weights_that_were_saved_once_are_loaded(tmp_path: Path) -> None:
    source, model = Tied(), Tied()
    save_model(source, str(tmp_path / "w.safetensors"))
    load_weights(model, tmp_path / "w.safetensors")
    assert same(source, model)
    assert model.head.weight is model.embedding.weight


def test_files_from_before_batchnorm_counted_its_batches_are_loaded(tmp_path: Path) -> None:
    source, model = small(0), small(1)
    state = {name: tensor for name, tensor in source.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "w.safetensors")
    load_weights(model, tmp_path / "w.safetensors")
    assert same(source, model)


def test_missing_file_is_named(tmp_path: Path) -> None:
    refused(small(0), tmp_path / "w.safetensors", "no such file of weights")


def test_weights_of_another_network_are_refused_with_the_first_five_differences(tmp_path: Path) -> None:
    save_file(cifar_resnet(20).state_dict(), tmp_path / "w.safetensors")
    message = refused(digits_resnet(), tmp_path / "w.safetensors", "the weights do not fit ResidualNetwork")
    assert "conv1.weight is [16, 3, 3, 3] in the file, [16, 1, 3, 3] in the network" in message
    assert "layer1.2.bn1.bias is unknown to the network" in message
    assert message.count("\n  - ") == 6
    assert "and 32 more" in message
    assert "Give the network of these weights" in message


def test_a_network_with_other_outputs_is_told_how_to_get_there(tmp_path: Path) -> None:
    source = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    message = refused(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 10)), tmp_path / "w.safetensors", "do not fit")
    assert "Only the outputs differ, 3 instead of 10" in message
    assert "from torchvision.models import resnet18\n      return resnet18(num_classes=3)" in message
    inner = nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 3))
    assert "Give the network" in refused(inner, tmp_path / "w.safetensors", "do not fit")


def test_missing_tensor_is_named(tmp_path: Path) -> None:
    state = small(0).state_dict()
    del state["0.bias"]
    save_file(state, tmp_path / "w.safetensors")
    refused(small(1), tmp_path / "w.safetensors", r"0\.bias is missing in the file")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float) -> None:
    state = small(0).state_dict()
    state["1.running_var"][1] = value
    save_file(state, tmp_path / "w.safetensors")
    refused(small(1), tmp_path / "w.safetensors", r"1 numbers of 1\.running_var are NaN or infinite")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", bytes(1000)])
def test_damaged_file_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"w.{suffix}").write_bytes(content)
    refused(small(0), tmp_path / f"w.{suffix}", "damaged, or not a file of weights|holds more than tensors")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_truncated_file_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w.{suffix}"
    (torch.save if suffix == "pt" else save_file)(small(0).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])
    refused(small(1), path, "damaged, or not a file of weights")


def test_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    attack = Attack(f"touch {tmp_path / 'executed'}")
    torch.save({"0.weight": attack}, tmp_path / "w.pt")
    refused(small(0), tmp_path / "w.pt", "could run any code, so it was not loaded")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(attack, protocol=2))
    refused(small(0), tmp_path / "plain.pth", "could run any code")
    assert not (tmp_path / "executed").exists()


def test_saved_module_is_refused_with_a_way_out(tmp_path: Path) -> None:
    torch.save(small(0), tmp_path / "w.pt")
    refused(small(0), tmp_path / "w.pt", r"save its weights with safetensors\.torch\.save_model")


def test_exported_program_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    for name, member in (("w.pt2", "w/models/model.json"), ("w.pt", "w/models/model.json"), ("w.pth", "w/code/a.py")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("w/data.pkl", b"")
            archive.writestr(member, b"")
        refused(small(0), tmp_path / name, "program")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds a list, not a state dict"),
        ({}, "holds a dict, not a state dict"),
        ({"0.weight": 1.0}, r"'0\.weight' is a float, not a tensor"),
    ],
)
def test_content_that_is_no_state_dict_is_described(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    refused(small(0), tmp_path / "w.pt", message)


def test_unknown_suffix_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"1")
    refused(small(0), tmp_path / "w.h5", r"weights are read from \.safetensors")


@pytest.mark.shared
@pytest.mark.parametrize("depth", [20, 56])
def test_published_cifar_weights_load_strictly(depth: int) -> None:
    folder = Path(__file__).parents[3] / "shared" / "weights"
    if not folder.is_dir():
        pytest.skip("the published weights are not here")
    model = cifar_resnet(depth)
    load_weights(model, folder / f"resnet{depth}_cifar10_jpeg.safetensors")
    assert model.state_dict()["bn1.running_mean"].any()
