"""The journal: what was appended is read, a torn tail is cut, and nothing damaged is taken for sound."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrl.errors import ArtifactError, ResourceError, RunWarning
from gnnrl.storage.journal import Journal, decode, encode
from tests.storage.disks import full_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "journal.jsonl")
    for number in range(3):
        journal.append("trial", number=number, score=1 / (number + 3))
    journal.close()
    return journal.path


def records(path: Path, *, repair: bool = False) -> list[int]:
    journal = Journal(path, repair=repair)
    journal.close()
    return [record["number"] for record in journal.records]


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(), st.integers(0, 10**8))
def test_a_record_is_read_back_to_the_last_bit(score: float, text: str, number: int) -> None:
    record = {"kind": "trial", "score": score, "text": text}
    assert decode(encode(number, record), number) == record
    assert decode(encode(number, record), number + 1) is None


@settings(max_examples=300)
@given(st.data())
def test_a_line_with_any_change_is_not_taken(data: st.DataObject) -> None:
    line = bytearray(encode(7, {"kind": "trial", "widths": [3, 4, 5], "score": 0.25}))
    position = data.draw(st.integers(0, len(line) - 1))
    line[position] ^= 1 << data.draw(st.integers(0, 7))
    assert decode(bytes(line), 7) is None


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_stumble(content: bytes) -> None:
    assert decode(content, 0) is None
    assert decode(b'{"seq":0,' + content + b"\n", 0) is None


def test_what_was_appended_is_there(path: Path) -> None:
    assert records(path) == [0, 1, 2]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_cut_and_the_journal_goes_on(path: Path, cut: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    with pytest.warns(RunWarning, match="line 3 was torn"):
        assert records(path) == [0, 1]
    assert content.startswith(path.read_bytes())
    journal = Journal(path)
    journal.append("trial", number=2, score=1 / 5)
    journal.close()
    assert path.read_bytes() == content


def test_a_damaged_line_in_the_middle_is_refused_with_its_number_and_the_remedy(path: Path) -> None:
    content = path.read_bytes().replace(b'"number":1', b'"number":7')
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"journal\.jsonl: line 2 is damaged.*--repair") as caught:
        records(path)
    assert caught.value.exit_code == 6
    assert path.read_bytes() == content
    with pytest.warns(RunWarning, match="line 2 is damaged"):
        assert records(path, repair=True) == [0]
    assert path.with_name("journal.jsonl.damaged").read_bytes() == content
    assert records(path) == [0]


def test_a_line_that_is_there_twice_or_missing_is_damage(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[0], lines[1]]))
    with pytest.raises(ArtifactError, match="line 2"):
        records(path)
    path.write_bytes(b"".join([lines[0], lines[2], lines[2]]))
    with pytest.raises(ArtifactError, match="line 2"):
        records(path)


def test_a_full_disk_leaves_the_journal_as_it_was(path: Path) -> None:
    content, journal = path.read_bytes(), Journal(path)
    with full_disk(len(content) + 10), pytest.raises(ResourceError, match="free space"):
        journal.append("trial", number=3, score=math.pi)
    assert path.read_bytes() == content
    journal.append("trial", number=3, score=math.pi)
    journal.close()
    assert records(path) == [0, 1, 2, 3]


def test_what_is_no_number_is_never_written(path: Path) -> None:
    content, journal = path.read_bytes(), Journal(path)
    with pytest.raises(ValueError, match="JSON"):
        journal.append("trial", number=3, score=math.nan)
    journal.close()
    assert path.read_bytes() == content


def test_what_is_too_large_to_be_a_journal_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrl.storage.journal.LARGEST_FILE", 100)
    with pytest.raises(ArtifactError, match="no journal is larger"):
        records(path)


def test_a_link_is_not_followed(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)
    with pytest.raises(ArtifactError, match="is not a file"):
        records(path)
