"""Files that are there whole or not at all."""

import errno
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from torch import nn

from gnnrl.artifacts import bundle
from gnnrl.errors import ConfigError, ResourceError
from gnnrl.storage import files
from tests.artifacts.networks import small
from tests.storage.disks import full_disk


def test_a_file_is_replaced_as_a_whole_and_readable_by_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_whole(path, b"old")
    files.write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [*tmp_path.iterdir()] == [path]


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_whole(path, b"old")
    with full_disk(100), pytest.raises(ResourceError, match=r"cannot write .*a\.json: File too large.*free space"):
        files.write_whole(path, bytes(1000))
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_full_disk_leaves_the_old_result_whole(tmp_path: Path) -> None:
    model, plan = small()
    target = bundle.save(tmp_path / "out", model, plan, {"first": True})
    with full_disk(1000), pytest.raises(ResourceError, match=r"cannot write .*out: "):
        bundle.save(target, model, plan, {}, force=True)
    assert bundle.read_manifest(target)["first"]
    assert [*tmp_path.iterdir()] == [target]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_what_the_disk_refuses_is_said_with_the_path(code: int, tmp_path: Path) -> None:
    with (
        pytest.raises(ResourceError, match=rf"cannot write .*small: {os.strerror(code)}"),
        files.writing(tmp_path / "small"),
    ):
        raise OSError(code, os.strerror(code))


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.writing(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "no such file")


def test_an_error_inside_leaves_nothing_of_the_staged_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.staged(tmp_path / "out") as folder:
        (folder / "no" / "such" / "folder").touch()
    assert not [*tmp_path.iterdir()]


def test_the_target_is_published_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sees the target sees everything that belongs to it."""
    order: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(Path(b).name), replace(a, b)))
    with files.staged(tmp_path / "b.onnx") as folder:
        for name in ("b.onnx", "b.onnx.data", "a"):
            (folder / name).write_text("")
        files.publish_files(folder, tmp_path / "b.onnx")
    assert order == ["a", "b.onnx.data", "b.onnx"]


def test_remains_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".out.partial-x1").mkdir()
    (tmp_path / ".out.partial-x2").write_text("")
    others = [tmp_path / name for name in (".outer.partial-x3", "out", ".out")]
    for path in others:
        path.mkdir()
    files.remove_remains(tmp_path / "out", age=3600)
    assert len([*tmp_path.iterdir()]) == 5, "they may belong to a process that writes"
    files.remove_remains(tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_names_that_are_patterns_are_taken_as_names(tmp_path: Path) -> None:
    (tmp_path / ".b.partial-x1").mkdir()
    files.remove_remains(tmp_path / "[ab]")
    assert (tmp_path / ".b.partial-x1").is_dir()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write .*out: "), files.staged(tmp_path / "file" / "out"):
        pass


def test_an_export_that_meets_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    from gnnrl.artifacts.patch import export_patch

    dense = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    with full_disk(600), pytest.raises(ResourceError, match=r"cannot write .*narrow\.py: "):
        export_patch(dense, dense, tmp_path / "narrow.py")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_replaced_as_a_whole(can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    for content in ("old", "new"):
        with files.staged(target) as folder:
            (folder / content).write_text("")
            (folder / "run").mkdir()
            files.publish_folder(folder, target)
    assert sorted(path.name for path in target.iterdir()) == ["new", "run"]
    assert [*tmp_path.iterdir()] == [target]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems cannot exchange two folders at once")
def test_while_a_folder_is_replaced_one_is_always_there(tmp_path: Path) -> None:
    target, is_over, missing = tmp_path / "out", threading.Event(), list[bool]()

    def watch() -> None:
        while not is_over.is_set():
            missing.append(not target.exists())

    target.mkdir()
    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(25):
        with files.staged(target) as folder:
            files.publish_folder(folder, target)
    is_over.set()
    watcher.join()
    assert len(missing) > 25
    assert not any(missing)
