"""Compress a small network where only torch, numpy, scipy and safetensors can be imported. Run by test_house.py."""

import re
import sys
import tempfile
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path

# torch itself needs filelock; that the core does not follows from ENTRIES, which have no part of gnnrl that imports it.
HIDDEN = {
    *("pydantic", "typer", "click", "rich", "gymnasium", "torch_geometric", "jinja2", "markupsafe", "PIL"),
    *("torchvision", "timm", "onnx", "onnxscript", "onnxruntime", "ray", "optuna", "cma", "yaml", "matplotlib"),
}
ENTRIES = {
    "__main__",
    "artifacts",
    "errors",
    "imports",
    "latency",
    "modules",
    "moved",
    "network",
    "pruning",
    "storage",
    "version",
    "views",
}


class Installed(PathFinder):
    """Finds modules on the path, but for the hidden ones."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in HIDDEN else super().find_spec(name, path, target)


sys.meta_path[:] = [Installed if finder is PathFinder else finder for finder in sys.meta_path]

import torch  # noqa: E402
from torch import nn  # noqa: E402

import gnnrl  # noqa: E402
from gnnrl.__main__ import main  # noqa: E402
from gnnrl.artifacts import bundle  # noqa: E402


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8 * 16, 4)).eval()


model, images = network(), torch.randn(16, 3, 8, 8)
found = gnnrl.trace(model, images)
assert "can shrink" in str(found)
assert repr(found).startswith("Network(")
assert gnnrl.measure_latency(model, found, images).cost is not found.cost
plan = gnnrl.Plan.uniform(found, "macs<=50%").with_kept(gnnrl.importance("l2", model, found))
small = gnnrl.prune(model, images, plan, network=found, calibration=[images], repair_by="ls")
assert not torch.equal(small[3].weight, model[3].weight[list(plan.kept[1])][:, list(plan.kept[0])]), "not repaired"

with tempfile.TemporaryDirectory() as folder:
    target = bundle.save(Path(folder) / "small", small, plan, {})
    loaded = gnnrl.load(network(), target)
    assert torch.equal(loaded(images), small(images))
    print("saved", "and loaded")
loaded_entries = {name.split(".")[1] for name in sys.modules if name.startswith("gnnrl.")}
assert loaded_entries == ENTRIES, loaded_entries ^ ENTRIES


def refusal(name: str) -> str:
    """Return what is said of a public name that needs more than the core."""
    try:
        getattr(gnnrl, name)
    except gnnrl.GnnrlError as error:
        return str(error)
    return ""


for name in ("compress", "PruningEnv"):
    assert re.match(rf"gnnrl\.{name} needs \w+, which is not installed; run: .+ install .", refusal(name)), refusal(
        name
    )

with suppress(SystemExit):
    main()
