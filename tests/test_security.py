"""Files from strangers: nothing in them is executed, imported or followed, and only documented errors come of them."""

import copy
import importlib
import json
import pickle
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrl.artifacts import bundle
from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job
from gnnrl.cli.run_settings import Again, read_job, written
from gnnrl.cli.runs import Found
from gnnrl.errors import ArtifactError, ConfigError, GnnrlError, RunWarning
from gnnrl.network.limits import Constraint
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.rules import parse_bounds
from gnnrl.runs.directory import read_settings
from gnnrl.runs.memory import read_trials
from gnnrl.storage.files import digest
from gnnrl.storage.formats import SEARCH
from gnnrl.storage.journal import Journal, encode
from gnnrl.storage.layout import MANIFEST
from gnnrl.storage.layout import PLAN as PLAN_FILE
from gnnrl.storage.snapshots import Snapshots
from gnnrl.zoo.sources import read_images
from tests.artifacts.networks import small
from tests.topologies import topology
from tests.zoo.pictures import write_tar, write_zip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MODEL, PLAN = small()
NOTHING = Again()
JOB = Job(source=Source(model="digits-resnet"), data="digits", constraint="macs<=50%", out=Path("small"))
OPTIONS = {"search": SEARCH, **written(JOB)}
fuzzed = settings(max_examples=150, deadline=None)


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def only_documented(work: Callable[[], Any]) -> None:
    """Whatever comes of it is no error, or one that gnnrl raises on purpose."""
    with suppress(GnnrlError):
        work()


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """A sound document with one of its values replaced by something else, or removed."""
    result = copy.deepcopy(document)
    place: Any = result
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
            place = place[key]
            continue
        if isinstance(place, dict) and draw(st.booleans()):
            del place[key]
        else:
            place[key] = draw(JSON)
        return result


# --- fuzzing ---


@fuzzed
@given(JSON | changed(PLAN.to_dict()))
def test_plans(document: Any) -> None:
    only_documented(lambda: Plan.from_dict(document))


@fuzzed
@given(st.binary(max_size=300))
def test_bytes_that_should_be_a_plan_a_manifest_or_settings(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in (PLAN_FILE, MANIFEST, "settings.json"):
            (Path(folder) / name).write_bytes(content)
        only_documented(lambda: bundle.read_plan(folder))
        only_documented(lambda: bundle.load(MODEL, folder))
        only_documented(lambda: read_settings(Path(folder)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle.save(tmp_path_factory.mktemp("saved") / "out", MODEL, PLAN, {"attributes": []})


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_manifests(saved: Path, data: st.DataObject) -> None:
    path = saved / MANIFEST
    sound = path.read_text()
    try:
        path.write_text(json.dumps(data.draw(changed(json.loads(sound)) | JSON)))
        only_documented(lambda: bundle.load(topology("residual").model, saved))
    finally:
        path.write_text(sound)


@fuzzed
@given(JSON | changed({"format": 1, "id": "a", "versions": {"torch": "2"}, "options": OPTIONS["options"]}))
def test_settings_of_runs(document: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "settings.json").write_text(json.dumps(document))
        only_documented(lambda: read_settings(Path(folder)))


@fuzzed
@given(changed(OPTIONS))
def test_options_of_runs(document: Any) -> None:
    only_documented(lambda: read_job(Found(Path("small"), document, is_finished=False), NOTHING))


TRIAL = {"kind": "trial", "number": 0, "widths": [3, 4], "score": 0.5, "macs": 7, "seconds": 0.1}


@fuzzed
@given(st.lists(changed(TRIAL), max_size=3))
@pytest.mark.filterwarnings("ignore::gnnrl.errors.RunWarning")
def test_journals_of_sound_lines_that_say_something_else(records: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        try:
            path.write_bytes(b"".join(encode(number, record) for number, record in enumerate(records)))
        except ValueError:
            return  # NaN, which is never written
        only_documented(lambda: read_journal(path))


@fuzzed
@given(st.binary(max_size=200), st.integers(0, 3))
@pytest.mark.filterwarnings("ignore::gnnrl.errors.RunWarning")
def test_journals_of_any_bytes(content: bytes, position: int) -> None:
    lines = [encode(number, {**TRIAL, "number": number}) for number in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        path.write_bytes(b"".join([*lines[:position], content, *lines[position:]]))
        only_documented(lambda: read_journal(path))


def read_journal(path: Path) -> None:
    journal = Journal(path)
    journal.close()
    read_trials(journal)


@fuzzed
@given(st.text(max_size=30) | st.from_regex(r"[a-z]{3,6}<=?[0-9.e+-]{1,6}[%kmgb]?(,[a-z]{3,6}<=[0-9.]{1,5})?"))
def test_constraints(text: str) -> None:
    only_documented(lambda: Constraint.parse(text))
    only_documented(lambda: parse_bounds([text]))


@pytest.mark.parametrize("text", ["macs<=1e999", "params<=9e999k"])
def test_a_limit_of_infinity_is_no_limit(text: str) -> None:
    with pytest.raises(ConfigError, match="too large a number"):
        Constraint.parse(text)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["a.tar", "a.tar.gz", "a.zip"]), st.integers(0, 10**6), st.binary(max_size=8))
def test_archives(name: str, position: int, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write = write_zip if name.endswith("zip") else write_tar
        path = write(Path(folder) / name, {f"{kind}/{number}.png": b"x" * 40 for kind in "ab" for number in range(3)})
        sound = path.read_bytes()
        place = position % len(sound)
        path.write_bytes(sound[:place] + content + sound[place + len(content) :])
        only_documented(lambda: list(read_images(path)))
        path.write_bytes(sound[:place])
        only_documented(lambda: list(read_images(path)))


# --- attacks ---


@pytest.mark.parametrize("name", ["weights.safetensors", "plan.json"])
def test_a_pickle_in_a_result_is_refused_and_not_run(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    target = bundle.save(tmp_path / "out", MODEL, PLAN, {})
    (target / name).write_bytes(pickle.dumps(Attack(mark)))
    manifest = json.loads((target / MANIFEST).read_text())
    manifest["sha256"][name] = digest(target / name)  # a stranger signs what a stranger changed
    (target / MANIFEST).write_text(json.dumps(manifest))
    read = bundle.read_plan if name == PLAN_FILE else partial(bundle.load, topology("residual").model)
    with pytest.raises(ArtifactError):
        read(target)
    assert not mark.exists()


def test_a_pickle_as_a_snapshot_is_as_good_as_none_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    snapshots = Snapshots(tmp_path / "snapshots")
    for number in (1, 2):
        snapshots.save(number, {"x": torch.zeros(3)}, {})
    (snapshots.folder / "000002.safetensors").write_bytes(pickle.dumps(Attack(mark)))
    with pytest.warns(RunWarning, match="snapshot 2 is damaged"):
        found = snapshots.latest()
    assert found is not None
    assert found.number == 1
    assert not mark.exists()


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../secret"])
def test_a_manifest_cannot_name_a_file_elsewhere(path: str, tmp_path: Path) -> None:
    target = bundle.save(tmp_path / "out", MODEL, PLAN, {})
    manifest = json.loads((target / MANIFEST).read_text())
    manifest["sha256"] = {path: "0" * 64, PLAN_FILE: manifest["sha256"][PLAN_FILE]}
    (target / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="and of nothing else"):
        bundle.load(topology("residual").model, target)


def test_a_run_cannot_say_where_its_result_goes(tmp_path: Path) -> None:
    document = copy.deepcopy(OPTIONS)
    document["options"]["out"] = "/etc/gnnrl"
    job = read_job(Found(tmp_path / "small", document, is_finished=False), NOTHING)
    assert job.out == tmp_path / "small"


@pytest.mark.parametrize("name", ["os:system", "evil.py:make", "timm:hf-hub:evil/net", "a.b.c:d"])
def test_a_run_cannot_name_code(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *_: object) -> None:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(importlib, "import_module", refuse)
    before = set(sys.modules)
    for change in ({"source": {**OPTIONS["options"]["source"], "model": name}}, {"searcher": name}):
        document = {**OPTIONS, "options": {**OPTIONS["options"], **change}}
        with pytest.raises(ConfigError, match="no file may name code"):
            read_job(Found(tmp_path / "small", document, is_finished=False), NOTHING)
    assert not {module for module in set(sys.modules) - before if module.startswith(("evil", "timm"))}
