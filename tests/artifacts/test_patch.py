"""The patch of widths: a dense instance, the generated code and a plain state dict give the pruned network."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gnnrl
from gnnrl.artifacts import bundle, patch
from gnnrl.artifacts.patch import find_widths
from gnnrl.errors import ArtifactError, ConfigError, ExportError
from tests.artifacts.networks import digits, halved, unsaved
from tests.topologies import TOPOLOGIES, topology, traced

PRUNABLE = sorted(name for name in TOPOLOGIES if traced(name).network.groups)


def narrowed(model: nn.Module, path: Path) -> nn.Module:
    """What a script without gnnrl does."""
    space: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), space)
    space["narrow"](model)
    model.load_state_dict(torch.load(path.with_suffix(".pt"), weights_only=True))
    return model.eval()


@pytest.mark.parametrize("name", PRUNABLE)
def test_patched_networks_are_the_pruned_ones_to_the_bit(name: str, tmp_path: Path) -> None:
    small, case = halved(name), traced(name)
    gnnrl.export_patch(topology(name).model, small, tmp_path / "narrow.py")
    found = narrowed(topology(name).model, tmp_path / "narrow.py")

    for (key, a), b in zip(bundle.tensors(found).items(), bundle.tensors(small).values(), strict=True):
        assert torch.equal(a, b), key
    assert not find_widths(small, found)
    if isinstance(case.example_inputs, torch.Tensor):
        with torch.no_grad():
            torch.testing.assert_close(found(case.example_inputs), small(case.example_inputs), rtol=0, atol=0)


def test_the_patch_works_where_gnnrl_cannot_be_imported(tmp_path: Path) -> None:
    dense, small, inputs = digits()
    record = gnnrl.export_patch(dense, small, tmp_path / "narrow.py")
    assert [path.name for path in record.files] == ["narrow.py", "narrow.pt"]
    with torch.no_grad():
        torch.save((inputs, small(inputs)), tmp_path / "expected.pt")
    root = Path(gnnrl.__file__).parent
    script = f"""
import importlib.util, sys
import torch
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("networks", {str(root / "zoo" / "networks.py")!r})
networks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(networks)  # the user's own file, which stands alone
for name in [name for name in sys.modules if name.split(".")[0] == "gnnrl"]:
    del sys.modules[name]
sys.modules["gnnrl"] = None  # whoever imports it now fails
from narrow import narrow
model = networks.digits_resnet()
narrow(model)
model.load_state_dict(torch.load("narrow.pt", weights_only=True))
x, expected = torch.load("expected.pt", weights_only=True)
with torch.no_grad():
    assert torch.equal(model.eval()(x), expected)
try:
    import gnnrl
except ImportError:
    print("alone")
"""
    environment = {**os.environ, "PYTHONPATH": str(root.parent)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout == "alone\n", done.stderr


def test_the_patch_names_what_shrinks_and_nothing_else(tmp_path: Path) -> None:
    gnnrl.export_patch(topology("chain").model, halved("chain"), tmp_path / "narrow.py")
    text = (tmp_path / "narrow.py").read_text()

    assert "import gnnrl" not in text
    assert "out_channels" in text
    assert "kernel_size" not in text
    dense, small = traced("chain").model, halved("chain")
    for path, sizes in find_widths(dense, small).items():
        one, other = dense.get_submodule(path), small.get_submodule(path)
        assert all(getattr(one, name) is not None and getattr(other, name) is not None for name in sizes)
        assert one.weight.shape != other.weight.shape


def test_the_dense_network_is_not_changed(tmp_path: Path) -> None:
    dense = topology("residual").model
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    gnnrl.export_patch(dense, halved("residual"), tmp_path / "narrow.py")

    assert all(torch.equal(value, before[name]) for name, value in dense.state_dict().items())


def test_tied_parameters_stay_tied(tmp_path: Path) -> None:
    gnnrl.export_patch(topology("tied_embedding").model, halved("tied_embedding"), tmp_path / "narrow.py")
    found = narrowed(topology("tied_embedding").model, tmp_path / "narrow.py")

    assert found.decoder.weight is found.embedding.weight


def test_buffers_outside_of_the_state_dict_come_with_their_values(tmp_path: Path) -> None:
    dense, small = unsaved()
    values = small.scale.tolist()
    gnnrl.export_patch(dense, small, tmp_path / "narrow.py")

    assert narrowed(type(dense)(), tmp_path / "narrow.py").scale.tolist() == values
    assert len(values) == 3 < len(dense.scale)


def test_networks_of_another_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="are different networks"):
        gnnrl.export_patch(topology("chain").model, halved("residual"), tmp_path / "narrow.py")
    assert not list(tmp_path.iterdir())


def test_what_the_table_cannot_say_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch, "find_widths", lambda *_: {})

    with pytest.raises(ExportError, match="does not fit"):
        gnnrl.export_patch(topology("chain").model, halved("chain"), tmp_path / "narrow.py")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["narrow", "small-one.py", "narrow.txt"])
def test_a_name_that_python_cannot_import_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Python module"):
        gnnrl.export_patch(topology("chain").model, halved("chain"), tmp_path / name)


@pytest.mark.parametrize("there", ["narrow.py", "narrow.pt"])
def test_neither_file_is_replaced_unless_forced(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(ConfigError, match=f"{there} already exists"):
        gnnrl.export_patch(topology("chain").model, halved("chain"), tmp_path / "narrow.py")
    assert (tmp_path / there).read_text() == "mine"
    gnnrl.export_patch(topology("chain").model, halved("chain"), tmp_path / "narrow.py", force=True)
    narrowed(topology("chain").model, tmp_path / "narrow.py")
