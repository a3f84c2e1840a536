"""Reading folders and archives, honest and other."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from gnnrl.errors import DataError
from gnnrl.zoo import sources
from gnnrl.zoo.sources import read_images
from tests.zoo.pictures import make_pictures, write_folder, write_tar, write_zip


def write_link(path: Path, kind: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("cat/0001.png")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    return path


@pytest.mark.parametrize("name", ["a.tar", "a.tar.xz", "a.tar.gz", "a.tgz", "a.zip"])
def test_archives_and_folders_give_the_same_images(tmp_path: Path, name: str) -> None:
    files = make_pictures(2)
    archive = (write_zip if name.endswith("zip") else write_tar)(tmp_path / name, files)
    folder = write_folder(tmp_path / "folder", files)
    assert dict(read_images(archive)) == files
    assert {n: p.read_bytes() for n, p in read_images(folder) if isinstance(p, Path)} == files


def test_files_that_are_not_images_are_passed_over(tmp_path: Path) -> None:
    files = {"cat/a.png": b"1", "README.md": b"2", "cat/.a.png": b"3", "__MACOSX/cat/._a.png": b"4", "cat/a.exe": b"5"}
    assert dict(read_images(write_zip(tmp_path / "a.zip", files))) == {"cat/a.png": b"1"}


def test_leading_dot_of_tar_members_is_dropped(tmp_path: Path) -> None:
    assert dict(read_images(write_tar(tmp_path / "a.tar", {"./cat/a.png": b"1"}))) == {"cat/a.png": b"1"}


@pytest.mark.parametrize("name", ["../cat/a.png", "/etc/a.png", "cat/../../a.png", "C:\\cat\\a.png", "..\\a.png"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_member_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    archive = (write_zip if kind == "zip" else write_tar)(tmp_path / f"a.{kind}", {name: b"1"})
    with pytest.raises(DataError, match="leads out of the archive"):
        list(read_images(archive))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(DataError, match=r"'cat/0001.png' is a link or a device"):
        list(read_images(write_link(tmp_path / "a.tar", kind)))


def test_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        member = zipfile.ZipInfo("cat/a.png")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        list(read_images(tmp_path / "a.zip"))


def test_oversized_member_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_MEMBER_BYTES", 10)
    for archive in (
        write_tar(tmp_path / "a.tar", {"cat/a.png": b"0" * 11}),
        write_zip(tmp_path / "a.zip", {"cat/a.png": b"0" * 11}),
    ):
        with pytest.raises(DataError, match=r"has 11 bytes; at most 10 are read"):
            list(read_images(archive))


def test_oversized_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_ARCHIVE_BYTES", 10)
    with pytest.raises(DataError, match="unpack it to a folder"):
        list(read_images(write_tar(tmp_path / "a.tar", {"cat/a.png": b"0" * 6, "cat/b.png": b"0" * 6})))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.xz", "a.tar.gz", "a.zip"])
def test_damaged_archive_is_named(tmp_path: Path, name: str) -> None:
    archive = (write_zip if name.endswith("zip") else write_tar)(tmp_path / name, make_pictures(50))
    content = archive.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"not an archive" * 100):
        archive.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"{name}: the archive is damaged"):
            list(read_images(archive))


@pytest.mark.parametrize("at", [512 * 40, 512 * 41, 512 * 41 + 100])
def test_plain_tar_that_was_cut_off_is_noticed(tmp_path: Path, at: int) -> None:
    archive = write_tar(tmp_path / "a.tar", make_pictures(50))
    archive.write_bytes(archive.read_bytes()[:at])
    with pytest.raises(DataError, match=r"a\.tar: the archive is damaged"):
        list(read_images(archive))


def test_damaged_header_in_the_middle_of_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", make_pictures(50))
    content = bytearray(archive.read_bytes())
    content[512 * 40 : 512 * 41] = b"x" * 512
    archive.write_bytes(content)
    with pytest.raises(DataError, match="without an end mark"):
        list(read_images(archive))


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", {"cat/a.png": b"1"})
    write_folder(tmp_path / "elsewhere", {"a.png": b"2"})
    (folder / "dog").symlink_to(tmp_path / "elsewhere")
    (folder / "dog" / "round").symlink_to(folder)
    assert sorted(name for name, _ in read_images(folder)) == ["cat/a.png", "dog/a.png"]


def test_missing_and_unknown_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        list(read_images(tmp_path / "nowhere"))
    (tmp_path / "a.rar").write_bytes(b"1")
    with pytest.raises(DataError, match=r"a\.rar: neither a folder nor an archive; archives end in \.tar"):
        list(read_images(tmp_path / "a.rar"))


def test_progress_ends_with_everything_done(tmp_path: Path) -> None:
    files = make_pictures(3)
    for source in (
        write_tar(tmp_path / "a.tar.xz", files),
        write_zip(tmp_path / "a.zip", files),
        write_folder(tmp_path / "a", files),
    ):
        steps: list[tuple[int, int]] = []
        list(read_images(source, lambda *step, steps=steps: steps.append(step)))
        assert steps[-1][0] == steps[-1][1] > 0
        assert steps == sorted(steps)


def test_nothing_is_written_to_disk(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", make_pictures(3))
    list(read_images(archive))
    assert list(tmp_path.iterdir()) == [archive]


def test_compression_is_told_from_the_content_not_from_the_suffix(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:bz2") as archive:
        member = tarfile.TarInfo("cat/a.png")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"1"))
    (tmp_path / "a.tar").write_bytes(file.getvalue())
    assert dict(read_images(tmp_path / "a.tar")) == {"cat/a.png": b"1"}
