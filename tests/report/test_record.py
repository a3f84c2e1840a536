"""The record of a compression: written, read, damaged and trained further."""

from pathlib import Path

import pytest

from gnnrl.artifacts import bundle
from gnnrl.errors import ArtifactError
from gnnrl.report.record import Record, finetuned, read_record, write_record
from tests.report.results import result
from tests.topologies import topology


def test_a_history_is_not_needed_to_load_but_may_not_be_damaged(tmp_path: Path) -> None:
    folder = result().save(tmp_path / "out")
    history = folder / "history.json"
    text = history.read_text()
    history.write_text(text.replace("dense", "sense", 1))
    with pytest.raises(ArtifactError, match=r"history\.json is damaged"):
        bundle.load(topology("residual").model, folder)
    history.unlink()
    bundle.load(topology("residual").model, folder)
    with pytest.raises(ArtifactError, match=r"history\.json"):
        read_record(folder)


@pytest.mark.parametrize("damage", ["[]", "{}", '{"format": 1, "model": 3}', "[" * 10_000, "nonsense"])
def test_a_history_of_another_kind_is_refused(tmp_path: Path, damage: str) -> None:
    plan = result().plan
    folder = bundle.save(tmp_path / "out", result().model, plan, {}, documents={"history.json": damage})

    with pytest.raises(ArtifactError, match="not a record of a compression"):
        read_record(folder)


def test_a_record_survives_its_file() -> None:
    record = result().record({"latency_ms": {"dense": 2.0, "pruned": 1.0}})

    assert Record.model_validate_json(write_record(record)) == record


def test_a_result_that_is_trained_further_keeps_its_report() -> None:
    record = result().record()
    assert record.classes is not None
    classes = {"names": record.classes.names, "images": record.classes.images}
    now = finetuned(record, 0.9, {**classes, "dense": record.classes.final, "final": [0.9] * len(record.classes.names)})

    assert now.final == 0.9
    assert now.stages == [*record.stages, "finetuned"]
    assert now.classes is not None
    assert (now.classes.dense, set(now.classes.final)) == (record.classes.dense, {0.9})
    assert now.trials == record.trials
