"""Files from strangers, and of other networks: kinds 20 and 35 to 41."""

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from gnnrl.artifacts import bundle
from gnnrl.cli.run_settings import read_job
from gnnrl.cli.runs import Found
from gnnrl.pruning.plan import Plan
from gnnrl.storage.layout import MANIFEST, WEIGHTS
from gnnrl.zoo.digits import DIGITS_WEIGHTS
from gnnrl.zoo.networks import cifar_resnet, digits_resnet
from tests.artifacts.networks import small
from tests.inputs.case import Case, Said, call, command
from tests.inputs.setting_cases import DIGITS
from tests.test_security import NOTHING, OPTIONS, Attack
from tests.topologies import topology
from tests.zoo.pictures import write_tar, write_zip
from tests.zoo.test_sources import write_link

DENSE = ("--model", "digits-resnet", "--data", "digits")
HOSTILE = """
from collections import OrderedDict

from torch import nn


def network():
    first, second = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 3)
    named = OrderedDict({"<script>alert(1)</script>": first, "\\u202ered\\x1b[31m": second})
    return nn.Sequential(OrderedDict(named, flat=nn.Flatten(), head=nn.Linear(128, 4)))
"""


def weights(name: str, write: Callable[[str], Any]) -> Callable[[], Said]:
    """A file as the weights of the digits network; nothing in it may run."""

    def tried() -> Said:
        write(name)
        said = command("prune", *DENSE, "--weights", name)
        assert not Path("was-run").exists()
        return said

    return tried


def tampered(**changes: Any) -> Callable[[], Said]:
    """A result whose manifest a stranger changed."""

    def tried() -> Said:
        model, plan = small()
        target = bundle.save("small", model, plan, {})
        manifest = json.loads((target / MANIFEST).read_text())
        (target / MANIFEST).write_text(json.dumps({**manifest, **changes}))
        return call(lambda: bundle.load(topology("residual").model, target))

    return tried


def planned(kept: list[int], width: int | None = None) -> Callable[[], Said]:
    """A plan with these channels of its first group."""

    def tried() -> Said:
        document = small()[1].to_dict()
        document["groups"][0].update(kept=kept, width=len(kept) if width is None else width)
        return call(lambda: Plan.from_dict(document).check(topology_network()))

    return tried


def topology_network() -> Any:
    from tests.topologies import traced

    return traced("residual").network


def archive(write: Callable[[], Any]) -> Callable[[], Said]:
    def tried() -> Said:
        return command("prune", *DIGITS[:-1], str(write()))

    return tried


def other_network() -> Said:
    model, plan = small()
    bundle.save("small", model, plan, {})
    return command("evaluate", "small", *DENSE)


def linked() -> Said:
    model, plan = small()
    target = bundle.save("small", model, plan, {})
    (target / WEIGHTS).rename("elsewhere")
    (target / WEIGHTS).symlink_to(Path("elsewhere").absolute())
    return call(lambda: bundle.load(topology("residual").model, target))


def run_of(**options: Any) -> Callable[[], Said]:
    """A run directory whose settings name code."""
    document = {**OPTIONS, "options": {**OPTIONS["options"], **options}}
    return lambda: call(lambda: read_job(Found(Path("small"), document, is_finished=False), NOTHING))


def hostile() -> Said:
    Path("own.py").write_text(HOSTILE)
    return command("inspect", "own.py:network", "--input-shape", "1,3,8,8", told="Groups that.*?2,368")


def poisoned(name: str) -> None:
    tensors = digits_resnet().state_dict()
    tensors["conv1.weight"][0] = float("nan")
    save_file(tensors, name)


def scripted(name: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        torch.jit.trace(digits_resnet().eval(), torch.zeros(1, 1, 8, 8)).save(name)


CASES = (
    Case(
        20,
        "a file of weights with NaN",
        weights("w.safetensors", poisoned),
        6,
        ("w.safetensors", "conv1.weight are NaN"),
    ),
    Case(
        35,
        "`!!python` or a dotted path in the settings of a run",
        run_of(searcher="os:system"),
        2,
        ("--searcher os:system", "no file may name code"),
    ),
    Case(
        35,
        "`_target_` in a manifest",
        tampered(attributes=[{"_target_": "os.system"}]),
        6,
        ("small/manifest.json", "_target_"),
    ),
    Case(
        36,
        "a pickle that runs code, as weights",
        weights("w.pth", lambda name: torch.save({"a": Attack(Path("was-run"))}, name)),
        6,
        ("could run any code", "safetensors.torch.save_model"),
    ),
    Case(
        36,
        "a bare pickle as weights",
        weights("w.pth", lambda name: Path(name).write_bytes(pickle.dumps(Attack(Path("was-run")), protocol=2))),
        6,
        ("could run any code", "safetensors.torch.save_model"),
    ),
    Case(
        36,
        "a whole network saved with `torch.save`",
        weights("w.pth", lambda name: torch.save(digits_resnet(), name)),
        6,
        ("could run any code", "safetensors.torch.save_model"),
    ),
    Case(
        36,
        "a file of weights that is cut off",
        weights("w.safetensors", lambda name: Path(name).write_bytes(DIGITS_WEIGHTS.read_bytes()[:1000])),
        6,
        ("w.safetensors: the file is damaged",),
        foreign=r"(?<=weights \().*(?=\)\.)",
    ),
    Case(37, "a `.pt2`", weights("w.pt2", lambda name: Path(name).touch()), 6, ("w.pt2", ".safetensors")),
    Case(37, "TorchScript, called `.pt`", weights("w.pt", scripted), 6, ("but a TorchScript", "save_model")),
    Case(
        38, "`../` in a manifest", tampered(sha256={"../secret": "0" * 64}), 6, ("small/manifest.json", "nothing else")
    ),
    Case(38, "a result whose weights are a link", linked, 6, ("small/weights.safetensors", "a link")),
    Case(
        38,
        "a member `../cat/a.png` of a zip",
        archive(lambda: write_zip(Path("a.zip"), {"../cat/a.png": b"1"})),
        5,
        ("a.zip", "leads out of the archive"),
    ),
    Case(
        38,
        "an absolute path in a tar",
        archive(lambda: write_tar(Path("a.tar"), {"/etc/a.png": b"1"})),
        5,
        ("a.tar", "leads out of the archive"),
    ),
    Case(38, "a link in a tar", archive(lambda: write_link(Path("a.tar"), b"2")), 5, ("a.tar", "is a link")),
    Case(
        39,
        "`<script>`, escape sequences and turns of direction in names of layers",
        hostile,
        0,
        ("<script>alert(1)</script>", "red channels"),
    ),
    Case(
        40,
        "a result of another network",
        other_network,
        6,
        ("small holds another network than ResidualNetwork", "107 more", "Give the class"),
    ),
    Case(
        40,
        "weights of another network",
        weights("w.safetensors", lambda name: save_file(cifar_resnet(20).state_dict(), name)),
        6,
        ("w.safetensors", "and 32 more", "Give the network"),
    ),
    Case(40, "a manifest of another format", tampered(format=99), 6, ("small/manifest.json has format 99",)),
    Case(41, "a plan with a channel twice", planned([1, 1, 2]), 6, ("the kept units of 0.0",)),
    Case(41, "a plan whose channels are not in order", planned([2, 1]), 6, ("the kept units of 0.0",)),
    Case(41, "a plan with a negative channel", planned([-1, 2]), 6, ("the kept units of 0.0",)),
    Case(
        41,
        "a plan with a channel that the group does not have",
        planned([0, 500]),
        6,
        ("channels of 0.0", "the group has 12"),
    ),
    Case(41, "a plan of width 0", planned([], 0), 6, ("group '0.0' has width 0",)),
)
