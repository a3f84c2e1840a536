"""Snapshots: whole or not at all, two are kept, a damaged one is as good as none."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gnnrl.errors import ResourceError, RunWarning
from gnnrl.storage.snapshots import Snapshots
from tests.storage.disks import full_disk


def state(number: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((3, 4), float(number)), "steps": torch.tensor(number)}


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    found = Snapshots(tmp_path / "snapshots")
    for number in range(1, 5):
        found.save(number, state(number), {"epoch": number, "loss": 0.1 * number})
    return found


def test_the_newest_comes_back_and_two_are_kept(snapshots: Snapshots) -> None:
    latest = snapshots.latest()
    assert latest is not None
    assert (latest.number, latest.facts) == (4, {"epoch": 4, "loss": 0.4})
    assert all(torch.equal(value, state(4)[name]) for name, value in latest.tensors.items())
    assert sorted(path.stem for path in snapshots.folder.iterdir()) == ["000003", "000003", "000004", "000004"]


def test_there_is_none_before_the_first(tmp_path: Path) -> None:
    assert Snapshots(tmp_path / "none").latest() is None


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "other facts": lambda path: path.write_bytes(path.read_bytes().replace(b'"epoch": 4', b'"epoch": 9')),
    "deleted": lambda path: path.unlink(),
    "deep": lambda path: path.write_text("[" * 100_000),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_damaged_newest_one_falls_back_and_says_so(snapshots: Snapshots, damage: str, suffix: str) -> None:
    if (damage == "other facts") > (suffix == "json") or (damage, suffix) == ("deleted", "json"):
        return
    DAMAGES[damage](snapshots.folder / f"000004.{suffix}")
    with pytest.warns(RunWarning, match="snapshot 4 is damaged"):
        latest = snapshots.latest()
    assert latest is not None
    assert latest.facts["epoch"] == 3


def test_a_full_disk_leaves_the_snapshots_that_are_there(snapshots: Snapshots) -> None:
    before = sorted(snapshots.folder.iterdir())
    with full_disk(100), pytest.raises(ResourceError, match="free space"):
        snapshots.save(5, state(5), {})
    assert sorted(snapshots.folder.iterdir()) == before
    latest = snapshots.latest()
    assert latest is not None
    assert latest.number == 4


def test_a_link_is_not_followed(snapshots: Snapshots, tmp_path: Path) -> None:
    path = snapshots.folder / "000004.safetensors"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RunWarning, match="it is a link"):
        assert snapshots.latest() is not None
